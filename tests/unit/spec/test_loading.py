from pathlib import Path

import pytest

from modelops.core.errors import SpecError, UsageError
from modelops.spec import InvalidSpecError, RuntimeSpec, load, load_text
from modelops.spec.models import ParameterRange


def test_the_least_that_is_enough_on_a_laptop(small: str) -> None:
    body = load_text(small).spec
    assert {name: (group.min, group.max) for name, group in body.worker_groups.items()} == {
        "default": (2, 2)
    }
    assert list(body.databases) == ["journal"]
    assert body.object_store.name == "results"
    algorithm = body.algorithms["calibration"]
    assert algorithm.bindings.model_dump() == {
        "workers": "default",
        "database": "journal",
        "object_store": "results",
    }
    parameters = algorithm.parameters
    assert (parameters.n_trials, parameters.replicates, parameters.seed) == (300, 10, 1)
    assert (parameters.n_parallel, parameters.order, parameters.options) == (16, "ask", {})
    assert algorithm.entrypoint.targets == ("prevalence",)


def test_the_fullest_form(fullest: str) -> None:
    spec = load_text(fullest)
    body = spec.spec
    assert (spec.metadata.name, spec.metadata.env) == ("prod", "prod")
    aks = {"name": "modelops-aks", "managed": True, "external": False}
    assert body.provider.options["aks"] == aks
    assert (body.registry.class_, body.registry.prefix) == ("acr", "team/bundles")
    assert (body.object_store.class_, body.object_store.bucket) == (
        "azure-blob",
        "calabaria-results",
    )
    assert body.databases["optuna"].size == "small"
    group = body.worker_groups["default-cpu"]
    assert (group.resources.cpu, group.resources.memory) == ("4", "16Gi")
    assert group.image is not None
    assert group.image.pull_secret == "ghcr-pull"
    gpu = body.worker_groups["gpu-calib"].gpu
    assert gpu is not None
    assert (gpu.vendor, gpu.count, gpu.model) == ("nvidia", 1, "A10")
    algorithm = body.algorithms["optuna-calibration"]
    assert algorithm.parameters.options == {"sampler": "tpe"}
    assert algorithm.limits.run_timeout == "8h"
    entrypoint = algorithm.entrypoint
    assert entrypoint.require_signature is not None
    assert entrypoint.require_signature.public_key == "cosign.pub"
    assert list(entrypoint.space) == ["beta", "contacts", "scenario", "n_agents"]
    assert entrypoint.space["contacts"] == ParameterRange(low=1, high=20, type="int")


@pytest.mark.parametrize("provider", ["local", "kubernetes", "azure", "acme"])
def test_every_key_but_the_providers_own_is_taken_for_every_provider(
    fullest: str, tmp_path: Path, provider: str
) -> None:
    path = tmp_path / "runtime.yaml"
    path.write_text(fullest)
    spec = load(path, provider=provider)
    assert spec.spec.provider.name == provider
    of_azure = load_text(fullest).spec
    assert spec.spec == of_azure.model_copy(update={"provider": spec.spec.provider})


def test_the_keys_of_a_provider_that_nobody_knows_are_its_own_affair(small: str) -> None:
    text = small.replace("{name: local}", "{name: acme, Zone: 3, deep: {a: [1, null]}, none: null}")
    options = load_text(text).spec.provider.options
    assert options == {"Zone": 3, "deep": {"a": [1, None]}, "none": None}


def test_bindings_default_to_what_is_declared_first(small: str) -> None:
    text = small.replace(
        "  algorithms:",
        "  databases: {b: {}, a: {}}\n  workerGroups: {z: {min: 3}, y: {}}\n  algorithms:",
    )
    body = load_text(text).spec
    bindings = body.algorithms["calibration"].bindings
    assert (bindings.workers, bindings.database) == ("z", "b")
    assert (body.worker_groups["z"].max, body.worker_groups["y"].max) == (3, 1)


def test_n_parallel_is_by_default_no_more_than_n_trials(small: str) -> None:
    body = load_text(small.replace("n_trials: 300", "n_trials: 5")).spec
    assert body.algorithms["calibration"].parameters.n_parallel == 5


def test_a_workspace_alone_is_a_spec(small: str) -> None:
    assert load_text(small.partition("  algorithms:")[0]).spec.algorithms == {}


def test_numbers_that_yaml_1_1_takes_for_text_are_numbers(small: str) -> None:
    space = load_text(small.replace("low: 0.5", "low: 1e-3")).spec.algorithms["calibration"]
    assert space.entrypoint.space["beta"] == ParameterRange(low=0.001, high=4)


def test_anchors_and_merges(small: str) -> None:
    groups = """\
  workerGroups:
    small: &small {min: 1, max: 4, resources: {memory: 1Gi}}
    large: {<<: *small, max: 9}
  algorithms:"""
    large = load_text(small.replace("  algorithms:", groups)).spec.worker_groups["large"]
    assert (large.min, large.max, large.resources.memory) == (1, 9, "1Gi")


def test_the_environment_and_the_provider_can_be_named_otherwise(
    fullest: str, tmp_path: Path
) -> None:
    path = tmp_path / "runtime.yaml"
    path.write_text(fullest)
    assert load(path).metadata.env == "prod"
    assert load(path, provider="azure").spec.provider.options["location"] == "eastus2"
    spec = load(path, env="staging", provider="local")
    assert spec.metadata.env == "staging"
    assert (spec.spec.provider.name, spec.spec.provider.options) == ("local", {})
    with pytest.raises(UsageError, match="DNS label"):
        load(path, env="Bad_Env")


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        load(tmp_path / "runtime.yaml")
    assert caught.value.exit_code == 2
    assert "mops init" in caught.value.hint
    assert "-f" in caught.value.hint


def test_a_directory_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a directory"):
        load(tmp_path)


def test_a_file_over_a_mebibyte_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "runtime.yaml"
    path.write_bytes(b"#" * (1024 * 1024 + 1))
    with pytest.raises(SpecError, match="larger than 1 MiB"):
        load(path)


def test_what_is_not_utf_8_is_shown_where_it_begins(tmp_path: Path) -> None:
    path = tmp_path / "runtime.yaml"
    path.write_bytes("kind: é\nmetadata: é".encode() + b"\xff")
    with pytest.raises(InvalidSpecError, match="UTF-8") as caught:
        load(path)
    problem = caught.value.problems[0]
    assert (problem.file, problem.line, problem.column) == (str(path), 2, 12)


def test_a_byte_order_mark_is_no_part_of_the_first_key(small: str, tmp_path: Path) -> None:
    path = tmp_path / "runtime.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + small.encode())
    assert load(path) == load_text(small)


def test_a_spec_is_frozen_and_equal_to_itself_from_elsewhere(small: str) -> None:
    spec = load_text(small)
    assert spec == load_text(f"# moved by a line\n{small}", file="other.yaml")
    with pytest.raises(ValueError, match="frozen"):
        spec.kind = "Other"  # type: ignore[assignment]
    assert isinstance(spec, RuntimeSpec)
