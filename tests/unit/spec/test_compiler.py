# ruff: noqa: E501 (a row of the table is a line)
import json
from pathlib import Path

import pytest

from modelops.contracts import (
    BundleRef,
    CategoricalParameter,
    FixedParameter,
    FloatParameter,
    IntParameter,
    Limits,
)
from modelops.spec import (
    InvalidSpecError,
    WorkerGroupPlan,
    compile_spec,
    load,
    load_text,
    plan_to_json,
)
from modelops.spec.models import Provider, RuntimeSpec

ADDRESS = "spec.algorithms.calibration"
DIGEST = "sha256:" + "a" * 64

# old text, new text, line:column, path, part of the message, suggestion
REFUSED = [
    ("type: optuna", "type: optuna\n      bindings: {workers: defualt}", "9:27", "bindings.workers", "spec.workerGroups declares no such name; it has default", "Did you mean `default`?"),
    ("type: optuna", "type: optuna\n      bindings: {database: optuna}", "9:28", "bindings.database", "spec.databases declares no such name; it has journal", "Did you mean `journal`?"),
    ("type: optuna", "type: optuna\n      bindings: {objectStore: x}", "9:31", "bindings.objectStore", "spec.objectStore declares no such name; it has results", ""),
    ("seed: 1", "n_parallel: 301", "9:63", "parameters.n_parallel", "at most n_trials, which is 300", ""),
    ("type: optuna", "type: optuna\n      limits: {max_failures: 1.5}", "9:30", "limits.max_failures", "a whole number", ""),
    ("[prevalence]", "[a, b, a]", "12:25", "entrypoint.targets[2]", "there twice", ""),
    ("[prevalence]", "[]", "12:18", "entrypoint.targets", "at least one target", ""),
    ("{beta: {low: 0.5, high: 4}, gamma: {low: 0.1, high: 1.0}}", "{}", "13:16", "entrypoint.space", "at least one parameter", ""),
    ("bundle: .", "bundle: ./nowhere", "11:17", "entrypoint.bundle", "nowhere doesn't exist", "Directories are relative to the spec's own."),
    ("bundle: .", "bundle: manifest.json", "11:17", "entrypoint.bundle", "is a file, not a directory", "Directories are relative to the spec's own."),
    ("bundle: .", "bundle: ..", "11:17", "entrypoint.bundle", "has no manifest.json", "`mops bundle init` makes one."),
    ("bundle: .", f"bundle: .\n        bundleRef: repo@{DIGEST}", "12:20", "entrypoint.bundleRef", "both bundle and bundleRef", ""),
    ("        bundle: .\n", "", "10:7", "entrypoint.bundle", "the code is missing", ""),
    ("seed: 1", "order: completion", "9:58", "parameters.order", "isn't supported yet", "Only ask works so far."),
    ("type: optuna", "type: optuna\n      execution: {isolation: fresh}", "9:30", "execution.isolation", "isn't supported yet", "Only warm works so far."),
    ("type: optuna", "type: optuna\n      execution: {environment: isolated}", "9:32", "execution.environment", "isn't supported yet", "Only layered works so far."),
    ("type: optuna", "type: optuna\n      execution: {keepOutputs: false}", "9:32", "execution.keepOutputs", "isn't supported yet", "Only true works so far."),
    ("type: optuna", "type: optuna\n      execution: {profile: true}", "9:28", "execution.profile", "isn't supported yet", "Only false works so far."),
    ("type: optuna", "type: optuna\n      limits: {task_memory: 2Gi}", "9:29", "limits.task_memory", "isn't supported yet", "Remove the key."),
    ("type: optuna", "type: optuna\n      limits: {run_timeout: 8h}", "9:29", "limits.run_timeout", "isn't supported yet", "Remove the key."),
    ("type: optuna", "type: optuna\n      limits: {max_cost: 50}", "9:26", "limits.max_cost", "isn't supported yet", "Remove the key."),
    ("type: optuna", "type: optuna\n      limits: {target_loss: 0}", "9:29", "limits.target_loss", "isn't supported yet", "Remove the key."),
    ("type: optuna", "type: optuna\n      limits: {patience: 2}", "9:26", "limits.patience", "isn't supported yet", "Remove the key."),
    ("bundle: .", "bundle: .\n        module: a:main", "12:17", "entrypoint.module", "isn't supported yet", "Remove the key."),
    ("bundle: .", "bundle: .\n        require_signature: {publicKey: k}", "12:28", "entrypoint.require_signature", "isn't supported yet", "Remove the key."),
]  # fmt: skip


def refused(spec: RuntimeSpec, base: Path) -> list[tuple[str, str, str, str]]:
    with pytest.raises(InvalidSpecError) as caught:
        compile_spec(spec, base=base)
    return [
        (f"{item.line}:{item.column}", item.path, item.message, item.suggestion)
        for item in caught.value.problems
    ]


def test_the_plan_of_the_least_spec(small: str, bundle: Path) -> None:
    plan = compile_spec(load_text(small), base=bundle)
    assert (plan.name, plan.env, plan.provider.name) == ("sir", "dev", "local")
    assert plan.worker_groups == (WorkerGroupPlan("default", 2, 2),)
    assert [database.name for database in plan.databases] == ["journal"]
    assert (plan.registry.kind, plan.registry.managed, plan.object_store.kind) == (None, True, None)
    (algorithm,) = plan.algorithms
    assert (algorithm.name, algorithm.type) == ("calibration", "optuna")
    assert (algorithm.workers, algorithm.database, algorithm.object_store) == (
        "default",
        "journal",
        "results",
    )
    assert (algorithm.n_trials, algorithm.n_parallel, algorithm.replicates) == (300, 16, 10)
    assert algorithm.limits == Limits()
    assert algorithm.bundle.directory == bundle
    assert dict(algorithm.space.parameters) == {
        "beta": FloatParameter(0.5, 4.0),
        "gamma": FloatParameter(0.1, 1.0),
    }
    beta = algorithm.space.parameters["beta"]
    assert isinstance(beta, FloatParameter)
    assert isinstance(beta.high, float)


def test_quantities_become_bytes_cores_and_seconds(small: str, bundle: Path) -> None:
    text = small.replace(
        "  algorithms:",
        '  workerGroups: {w: {min: 0, max: 6, processes: 2, threads: 3, resources: {cpu: "500m", '
        "memory: 16Gi}}}\n  algorithms:",
    ).replace("type: optuna", "type: optuna\n      limits: {task_timeout: 1h30m, max_failures: 7}")
    plan = compile_spec(load_text(text), base=bundle)
    assert plan.worker_groups == (WorkerGroupPlan("w", 0, 6, 2, 3, 0.5, 16 * 2**30),)
    assert plan.algorithms[0].limits == Limits(task_timeout=5400.0, max_failures=7)


def test_every_form_of_parameter_in_the_order_of_the_file(small: str, bundle: Path) -> None:
    text = small.replace(
        "{beta: {low: 0.5, high: 4}, gamma: {low: 0.1, high: 1.0}}",
        "{z: {low: 1, high: 20.0, type: int, log: true}, a: {choices: [1, 1.0, true, x]}, "
        "m: {value: 1000}}",
    )
    space = compile_spec(load_text(text), base=bundle).algorithms[0].space
    assert list(space.parameters.items()) == [
        ("z", IntParameter(1, 20, log=True)),
        ("a", CategoricalParameter((1, 1.0, True, "x"))),
        ("m", FixedParameter(1000)),
    ]


@pytest.mark.parametrize(
    "written",
    [f"team/sir@{DIGEST}", f"oci://ghcr.io/team/sir@{DIGEST}", f"oci://ghcr.io/team/sir:{DIGEST}"],
)
def test_bundle_references_become_canonical(small: str, bundle: Path, written: str) -> None:
    text = small.replace("bundle: .", f"bundleRef: {written}")
    source = compile_spec(load_text(text), base=bundle).algorithms[0].bundle
    assert source.directory is None
    assert source.ref == BundleRef.parse(written)


def test_options_belong_to_the_algorithm(small: str, bundle: Path) -> None:
    text = small.replace("seed: 1", "sampler: tpe, n_startup_trials: 20, nested: {a: [1, null]}")
    assert dict(compile_spec(load_text(text), base=bundle).algorithms[0].options) == {
        "sampler": "tpe",
        "n_startup_trials": 20,
        "nested": {"a": [1, None]},
    }


def test_an_external_registry_is_not_managed(small: str, bundle: Path) -> None:
    text = small.replace(
        "  algorithms:", "  registry: {class: external, url: ghcr.io}\n  algorithms:"
    )
    registry = compile_spec(load_text(text), base=bundle).registry
    assert (registry.kind, registry.managed, registry.url) == ("external", False, "ghcr.io")


@pytest.mark.parametrize(
    ("registry", "path"),
    [
        ("{class: external}", "spec.registry.url"),
        ("{url: ghcr.io}", "spec.registry.url"),
        ("{managed: false}", "spec.registry.managed"),
    ],
)
def test_a_registry_that_contradicts_itself(
    small: str, bundle: Path, registry: str, path: str
) -> None:
    text = small.replace("  algorithms:", f"  registry: {registry}\n  algorithms:")
    assert [item[1] for item in refused(load_text(text), bundle)] == [path]


@pytest.mark.parametrize(("old", "new", "place", "path", "message", "suggestion"), REFUSED)
def test_what_is_refused_and_where(
    small: str,
    bundle: Path,
    old: str,
    new: str,
    place: str,
    path: str,
    message: str,
    suggestion: str,
) -> None:
    assert old in small
    ((at, where, what, next_step),) = refused(load_text(small.replace(old, new)), bundle)
    assert (at, where, next_step) == (place, f"{ADDRESS}.{path}", suggestion)
    assert message in what


def test_min_above_max(small: str, bundle: Path) -> None:
    text = small.replace("  algorithms:", "  workerGroups: {w: {min: 3, max: 2}}\n  algorithms:")
    assert refused(load_text(text), bundle) == [
        ("6:35", "spec.workerGroups.w.max", "max must be at least min, which is 3", "")
    ]


def test_a_name_that_no_run_id_could_begin_with(small: str, bundle: Path) -> None:
    text = small.replace("    calibration:", f"    {'a' * 55}:")
    ((place, _, message, _),) = refused(load_text(text), bundle)
    assert place == "7:5"
    assert "at most 54 characters" in message


def test_all_that_is_wrong_is_shown_at_once_with_the_file(
    small: str, bundle: Path, tmp_path: Path
) -> None:
    path = tmp_path / "runtime.yaml"
    path.write_text(
        small.replace("bundle: .", "bundle: gone")
        .replace("type: optuna", "type: optuna\n      bindings: {workers: gpu}")
        .replace("seed: 1", "order: completion")
    )
    with pytest.raises(InvalidSpecError) as caught:
        compile_spec(load(path, env="staging", provider="local"), base=bundle)
    assert caught.value.exit_code == 2
    assert [item.line for item in caught.value.problems] == [9, 10, 12]
    assert {item.file for item in caught.value.problems} == {str(path)}


def test_what_belongs_to_clusters_is_passed_over_on_one_machine_only(
    fullest: str, bundle: Path
) -> None:
    spec = load_text(fullest)
    there = {path.removeprefix("spec.") for _, path, _, _ in refused(spec, bundle)}
    here = {
        path.removeprefix("spec.")
        for _, path, _, _ in refused(spec.at(provider=Provider(name="local")), bundle)
    }
    assert there - here == {
        "databases.optuna.size",
        "workerGroups.default-cpu.kind",
        "workerGroups.default-cpu.profile",
        "workerGroups.default-cpu.image",
        "workerGroups.gpu-calib.kind",
        "workerGroups.gpu-calib.profile",
        "workerGroups.gpu-calib.gpu",
    }
    assert all(path.startswith("algorithms.") for path in here)


def test_a_spec_made_in_code_is_compiled_and_refused_without_places(
    small: str, bundle: Path
) -> None:
    data = {
        "apiVersion": "modelops/v1",
        "kind": "Runtime",
        "metadata": {"name": "sir"},
        "spec": {"provider": {"name": "local"}, "workerGroups": {"w": {"min": 3, "max": 2}}},
    }
    with pytest.raises(InvalidSpecError) as caught:
        compile_spec(RuntimeSpec.model_validate(data), base=bundle)
    assert str(caught.value) == ("spec.workerGroups.w.max\n  max must be at least min, which is 3")


def test_a_plan_as_json_is_the_same_each_time(small: str, bundle: Path) -> None:
    text = small.replace("seed: 1", "nested: {b: [1, x], a: null}")
    first, second = (
        json.dumps(plan_to_json(compile_spec(load_text(text), base=bundle))) for _ in range(2)
    )
    assert first == second
    plan = json.loads(first)
    assert list(plan) == [
        "name",
        "env",
        "provider",
        "registry",
        "object_store",
        "databases",
        "worker_groups",
        "algorithms",
    ]
    (algorithm,) = plan["algorithms"]
    assert algorithm["bundle"] == {"directory": bundle.as_posix(), "ref": None}
    assert algorithm["options"] == {"nested": {"b": [1, "x"], "a": None}}
    assert algorithm["limits"] == {"task_timeout": None, "max_failures": 0.2}
    assert algorithm["space"][0] == {
        "name": "beta",
        "type": "float",
        "low": 0.5,
        "high": 4.0,
        "log": False,
    }


def test_a_plan_as_json_has_canonical_references(small: str, bundle: Path) -> None:
    text = small.replace("bundle: .", f"bundleRef: oci://ghcr.io/team/sir:{DIGEST}")
    plan = plan_to_json(compile_spec(load_text(text), base=bundle))
    assert plan["algorithms"][0]["bundle"]["ref"] == f"oci://ghcr.io/team/sir@{DIGEST}"
