# ruff: noqa: E501 (a row of the table is a line)
import json
from pathlib import Path

import pytest

from modelops.contracts import (
    BundleRef,
    CategoricalParameter,
    EnvironmentMode,
    Execution,
    FixedParameter,
    FloatParameter,
    IntParameter,
    Isolation,
    Limits,
    PublicKey,
    TrialOrder,
    parse_reference,
)
from modelops.spec import (
    DatabasePlan,
    GpuPlan,
    ImagePlan,
    InvalidSpecError,
    WorkerGroupPlan,
    compile_spec,
    load,
    load_text,
    plan_to_json,
)
from modelops.spec.models import Provider, RuntimeSpec
from modelops.spec.plan import BundleSource

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
    ("type: optuna", "type: optuna\n      limits: {max_cost: 50}", "9:26", "limits.max_cost", "spec.workerGroups.default has no price", "Write there what one replica costs in an hour: `price: 0.40`."),
    ("type: optuna", "type: optuna\n      limits: {max_cost: 0}", "9:26", "limits.max_cost", "nothing can be run for 0 dollars", "Leave it out for no limit."),
    ("bundle: .", "bundle: .\n        module: a:main", "12:17", "entrypoint.module", "isn't supported yet", "Remove the key."),
    ("bundle: .", "bundle: .\n        require_signature: {publicKey: k}", "12:40", "entrypoint.require_signature.publicKey", "k doesn't exist", "Name the file of a public key, relative to the spec's own directory; `mops bundle keygen` and `cosign generate-key-pair` make key pairs."),
    ("bundle: .", "bundle: .\n        require_signature: {publicKey: manifest.json}", "12:40", "entrypoint.require_signature.publicKey", "manifest.json can't be used: it isn't one public key in PEM", "Name the file of a public key, relative to the spec's own directory; `mops bundle keygen` and `cosign generate-key-pair` make key pairs."),
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
    ).replace(
        "type: optuna",
        "type: optuna\n      limits: {task_timeout: 1h30m, task_memory: 2Gi, max_failures: 7}",
    )
    plan = compile_spec(load_text(text), base=bundle)
    assert plan.worker_groups == (WorkerGroupPlan("w", 0, 6, 2, 3, 0.5, 16 * 2**30),)
    assert plan.algorithms[0].limits == Limits(5400.0, 2 * 2**30, 7)


def test_when_a_run_stops(small: str, bundle: Path) -> None:
    text = small.replace(
        "  algorithms:",
        "  workerGroups: {w: {processes: 2, threads: 3, price: 1.5}}\n  algorithms:",
    ).replace("seed: 1", "seed: 1, order: completion")
    written = "{run_timeout: 8h, max_cost: 50, target_loss: -0.5, patience: 200}"
    text = text.replace("type: optuna", f"type: optuna\n      limits: {written}")
    (algorithm,) = compile_spec(load_text(text), base=bundle).algorithms
    assert algorithm.limits == Limits(
        run_timeout=8 * 3600.0, max_cost=50, slot_price=0.25, target_loss=-0.5, patience=200
    )
    assert algorithm.order is TrialOrder.COMPLETION


def test_how_simulations_are_run(small: str, bundle: Path) -> None:
    written = "{isolation: fork, environment: isolated, keepOutputs: false, profile: true}"
    text = small.replace("type: optuna", f"type: optuna\n      execution: {written}")
    (algorithm,) = compile_spec(load_text(text), base=bundle).algorithms
    assert algorithm.execution == Execution(
        Isolation.FORK, EnvironmentMode.ISOLATED, keep_outputs=False, profile=True
    )


def test_constraints_between_parameters(small: str, bundle: Path) -> None:
    text = small.replace("targets: [", "constraints: [beta > gamma, beta < 3]\n        targets: [")
    space = compile_spec(load_text(text), base=bundle).algorithms[0].space
    assert [constraint.text for constraint in space.constraints] == ["beta > gamma", "beta < 3"]


@pytest.mark.parametrize(
    ("constraint", "index", "message", "suggestion"),
    [
        ("bta > 1", "[0]", "there is no parameter `bta`; there are: beta, gamma", "`beta`"),
        ("beta + 1", "[0]", "isn't a condition", ""),
        ("beta == 'a'", "[0]", "never equal", ""),
        ("beta < 0.1", "", "of 10,000 points of the space, they allow none", "Narrow"),
        ("beta == 2 * gamma", "", "they allow none", "let the model compute one"),
    ],
)
def test_constraints_that_cannot_be(
    small: str, bundle: Path, constraint: str, index: str, message: str, suggestion: str
) -> None:
    text = small.replace("targets: [", f"constraints: [{constraint}]\n        targets: [")
    with pytest.raises(InvalidSpecError) as caught:
        compile_spec(load_text(text), base=bundle)
    (problem,) = caught.value.problems
    assert problem.path == f"spec.algorithms.calibration.entrypoint.constraints{index}"
    assert problem.line == 12
    assert message in problem.message
    assert suggestion in problem.suggestion


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


@pytest.mark.parametrize(
    "written", ["team/sir:1.0.0", "oci://ghcr.io/team/sir:latest", "oci-layout:/srv/a b/sir:1.0.0"]
)
def test_a_tag_stays_one_until_the_run_is_started(small: str, bundle: Path, written: str) -> None:
    text = small.replace("bundle: .", f"bundleRef: {written}")
    plan = compile_spec(load_text(text), base=bundle)
    assert plan.algorithms[0].bundle == BundleSource(tag=parse_reference(written))
    shown = plan_to_json(plan)["algorithms"][0]["bundle"]
    assert shown == {"directory": None, "ref": None, "tag": written}


def test_a_bundle_has_one_source_only() -> None:
    tag, ref = parse_reference("sir:1"), parse_reference(f"sir@{DIGEST}")
    for sources in ({}, {"tag": tag, "ref": ref}, {"tag": tag, "directory": Path()}):
        with pytest.raises(ValueError, match="one of them"):
            BundleSource(**sources)


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
        ("{auth: htpasswd}", "spec.registry.auth"),
        ("{class: oci-layout, tls: true}", "spec.registry.tls"),
        ("{class: external, url: 'oci://me:hidden@ghcr.io'}", "spec.registry.url"),
        ("{class: external, url: 'me:hidden@ghcr.io/team'}", "spec.registry.url"),
    ],
)
def test_a_registry_that_contradicts_itself(
    small: str, bundle: Path, registry: str, path: str
) -> None:
    text = small.replace("  algorithms:", f"  registry: {registry}\n  algorithms:")
    assert [item[1] for item in refused(load_text(text), bundle)] == [path]


def test_a_password_in_a_url_isnt_shown(small: str, bundle: Path) -> None:
    written = "{class: external, url: 'oci://me:hidden@ghcr.io'}"
    text = small.replace("  algorithms:", f"  registry: {written}\n  algorithms:")
    with pytest.raises(InvalidSpecError) as caught:
        compile_spec(load_text(text), base=bundle)
    assert "docker login" in str(caught.value)
    assert "hidden" not in str(caught.value)


def test_a_database_that_is_there_already(small: str, bundle: Path) -> None:
    text = small.replace(
        "  algorithms:", "  databases: {a: {external: {urlFrom: team.db}}}\n  algorithms:"
    )
    (database,) = compile_spec(load_text(text), base=bundle).databases
    assert (database.url_from, database.managed, database.engine) == ("team.db", False, None)


@pytest.mark.parametrize(
    ("database", "path"),
    [
        ("{managed: false}", "spec.databases.a.managed"),
        ("{external: {urlFrom: x}, size: small}", "spec.databases.a.size"),
        ("{external: {urlFrom: x}, containerized: true}", "spec.databases.a.containerized"),
    ],
)
def test_a_database_that_contradicts_itself(
    small: str, bundle: Path, database: str, path: str
) -> None:
    text = small.replace("  algorithms:", f"  databases: {{a: {database}}}\n  algorithms:")
    assert [item[1] for item in refused(load_text(text), bundle)] == [path]


@pytest.mark.parametrize("where", ["key.pub", "../key.pub"])
def test_a_public_key_travels_in_the_plan(small: str, bundle: Path, where: str) -> None:
    key = PublicKey(bytes.fromhex("302a300506032b6570032100") + bytes(32))
    (bundle / where).write_text(key.to_pem().replace("\n", "\r\n"))
    text = small.replace(
        "bundle: .", f"bundle: .\n        require_signature: {{publicKey: {where}}}"
    )
    plan = compile_spec(load_text(text), base=bundle)
    assert plan.algorithms[0].public_key == key
    assert plan.algorithms[0].pinned(BundleRef("sir", DIGEST)).public_key == key
    assert plan_to_json(plan)["algorithms"][0]["public_key"] == key.fingerprint


def test_a_missing_public_key_matters_to_everyone(small: str, bundle: Path) -> None:
    text = small.replace("bundle: .", "bundle: .\n        require_signature: {publicKey: none.pub}")
    with pytest.raises(InvalidSpecError, match="doesn't exist"):
        compile_spec(load_text(text), base=bundle, check_bundles=False)


@pytest.mark.parametrize("name", ["../passwd", "a/b", "-x", ".x", ""])
def test_a_secrets_name_is_no_path(small: str, name: str) -> None:
    text = small.replace(
        "  algorithms:", f"  databases: {{a: {{external: {{urlFrom: '{name}'}}}}}}\n  algorithms:"
    )
    with pytest.raises(InvalidSpecError, match=r"spec\.databases\.a\.external\.urlFrom"):
        load_text(text)


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
        .replace("seed: 1", "n_parallel: 301")
    )
    with pytest.raises(InvalidSpecError) as caught:
        compile_spec(load(path, env="staging", provider="local"), base=bundle)
    assert caught.value.exit_code == 2
    assert [item.line for item in caught.value.problems] == [9, 10, 12]
    assert {item.file for item in caught.value.problems} == {str(path)}


def test_a_plan_carries_what_belongs_to_clusters(cloud: str, bundle: Path) -> None:
    plan = compile_spec(load_text(cloud), base=bundle)
    assert plan.provider.options == {
        "subscription_id": "00000000-0000-0000-0000-000000000000",
        "location": "eastus2",
        "resource_group": "modelops-rg",
        "per_user_registry": False,
        "aks": {"name": "modelops-aks", "managed": True, "external": False},
    }
    assert plan.databases == (DatabasePlan("optuna", "postgres", size="small"),)
    assert plan.worker_groups == (
        WorkerGroupPlan(
            "default-cpu", 2, 6, 2, 1, 4.0, 16 * 2**30, "k8s-pool", "cpu", False,
            ImagePlan("ghcr.io/org/calabaria-worker:main", "ghcr-pull"),
        ),
        WorkerGroupPlan(
            "gpu-calib", 0, 2, kind="k8s-pool", profile="gpu", gpu=GpuPlan("nvidia", 1, "A10")
        ),
    )  # fmt: skip


def test_another_provider_than_the_files_gets_none_of_its_keys(cloud: str, bundle: Path) -> None:
    spec = load_text(cloud).at(provider=Provider(name="local"))
    provider = compile_spec(spec, base=bundle).provider
    assert (provider.name, provider.options) == ("local", {})
    assert provider.instead_of is not None
    assert provider.instead_of.name == "azure"
    assert provider.instead_of.options["location"] == "eastus2"


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
    assert algorithm["bundle"] == {
        "directory": bundle.as_posix(),
        "ref": None,
        "tag": None,
    }
    assert algorithm["options"] == {"nested": {"b": [1, "x"], "a": None}}
    assert algorithm["limits"] == {"task_timeout": None, "task_memory": None, "max_failures": 0.2}
    assert algorithm["execution"] == {
        "isolation": "warm",
        "environment": "layered",
        "keep_outputs": True,
        "profile": False,
    }
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
