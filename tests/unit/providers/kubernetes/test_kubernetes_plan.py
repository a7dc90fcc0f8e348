"""What the provider `kubernetes` makes of a plan."""

from dataclasses import replace
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion

from kubernetes_plans import ALGORITHM, IMAGES, PLAN, provider
from modelops.core.errors import ProviderError
from modelops.providers.base import Component, ProviderPlan, ResourcePlan
from modelops.providers.kubernetes import component_types as types
from modelops.providers.kubernetes.plan import compile_plan
from modelops.spec.plan import (
    CompiledPlan,
    DatabasePlan,
    GpuPlan,
    ImagePlan,
    ObjectStorePlan,
    ProviderChoice,
    RegistryPlan,
    WorkerGroupPlan,
)


def stacks(plan: ProviderPlan) -> list[Any]:
    return [stack.to_json() for stack in plan.stacks]


def resource(plan: CompiledPlan, name: str) -> ResourcePlan:
    compiled = compile_plan(plan)
    found = [item for stack in compiled.stacks for item in stack.resources if item.name == name]
    assert len(found) == 1, [item.name for stack in compiled.stacks for item in stack.resources]
    return found[0]


def group(**settings: Any) -> CompiledPlan:
    chosen = {"minimum": 1, "maximum": 1, **settings}
    return replace(PLAN, worker_groups=(WorkerGroupPlan("default", **chosen),))


def test_the_plan_of_a_plain_spec(snapshot: SnapshotAssertion) -> None:
    assert stacks(compile_plan(PLAN)) == snapshot


def test_the_plan_of_a_spec_with_everything(snapshot: SnapshotAssertion) -> None:
    options = {
        "kubeconfig": "~/.kube/config",
        "context": "mine",
        "namespace": "epi",
        "createNamespace": False,
        "storageClass": "fast",
        "accessMode": "ReadWriteOnce",
        "volumes": {"registry": "5Gi", "database": "1500M"},
        "cache": {"size": "8Gi", "accessMode": "ReadWriteMany", "storageClass": "nfs"},
        "images": {**IMAGES, "pullSecret": "pull"},
        "scheduler": {"memory": "4Gi"},
        "nodeSelector": {"pool": "batch"},
        "tolerations": ({"key": "batch", "operator": "Equal", "value": "yes"},),
        "spot": {"nodeSelector": {"spot": "true"}, "tolerations": ({"key": "spot"},)},
        "quota": {"cpu": "40", "memory": "160Gi", "pods": 30, "gpus": 2},
        "workloadIdentity": {
            "annotations": {"eks.amazonaws.com/role-arn": "arn:x"},
            "podLabels": {"azure.workload.identity/use": "true"},
        },
        "objectStore": {
            "env": {"AWS_ENDPOINT_URL": "https://s3.example"},
            "secretEnv": {"AWS_SECRET_ACCESS_KEY": "s3-key"},
        },
        "registry": {"username": "me", "passwordFrom": "token", "caFrom": "ca"},
        "readyTimeout": "3m",
        "gracePeriod": "45s",
        "serviceMonitor": {"labels": {"release": "prometheus"}},
    }
    plan = replace(
        PLAN,
        provider=provider(**options),
        registry=RegistryPlan("external", managed=False, url="registry.example"),
        object_store=ObjectStorePlan("results", "s3", managed=False, bucket="epi-results"),
        databases=(DatabasePlan("journal", managed=False, url_from="journal-url"),),
        worker_groups=(
            WorkerGroupPlan("default", 1, 1, cpu=0.5, memory=10**9),
            WorkerGroupPlan(
                "gpu",
                0,
                2,
                cpu=8.0,
                memory=2**35,
                profile="gpu",
                spot=True,
                image=ImagePlan("registry.example/gpu:1", "gpu-pull"),
                gpu=GpuPlan("nvidia", 1, "A10"),
            ),
        ),
    )
    assert stacks(compile_plan(plan)) == snapshot


def test_equal_plans_give_equal_provider_plans() -> None:
    assert compile_plan(PLAN) == compile_plan(replace(PLAN))


@pytest.mark.parametrize(
    ("groups", "deployments"),
    [
        (["default"], ["dask-workers"]),
        (["cpu"], ["dask-workers"]),
        (["default", "gpu"], ["dask-workers", "dask-workers-gpu"]),
        (["cpu", "gpu"], ["dask-workers-cpu", "dask-workers-gpu"]),
    ],
)
def test_the_default_groups_deployment_has_the_name_that_tools_expect(
    groups: list[str], deployments: list[str]
) -> None:
    named = tuple(WorkerGroupPlan(name, 1, 1) for name in groups)
    workspace = compile_plan(replace(PLAN, worker_groups=named)).stack(Component.WORKSPACE)
    found = [item.name for item in workspace.resources if item.type == types.WORKER_GROUP]
    assert found == deployments


def test_only_groups_with_a_choice_are_scaled() -> None:
    fixed, scaled = WorkerGroupPlan("fixed", 2, 2), WorkerGroupPlan("scaled", 0, 3, threads=4)
    plan = replace(PLAN, worker_groups=(fixed, scaled))
    assert resource(plan, "dask-scaler").properties["groups"] == [
        {"name": "scaled", "deployment": "dask-workers-scaled", "min": 0, "max": 3, "slots": 4}
    ]
    workspace = compile_plan(replace(PLAN, worker_groups=(fixed,))).stack(Component.WORKSPACE)
    assert types.SCALER not in [item.type for item in workspace.resources]


@pytest.mark.parametrize(
    ("settings", "asked"),
    [
        ({}, {}),
        (
            {"cpu": 0.25, "memory": 2**30},
            {"requests": {"cpu": "250m", "memory": "1Gi"}, "limits": {"memory": "1Gi"}},
        ),
        (
            {"gpu": GpuPlan("amd", 2)},
            {"requests": {"amd.com/gpu": "2"}, "limits": {"amd.com/gpu": "2"}},
        ),
        (
            {"profile": "gpu"},
            {"requests": {"nvidia.com/gpu": "1"}, "limits": {"nvidia.com/gpu": "1"}},
        ),
    ],
)
def test_a_replica_is_given_what_the_group_says(
    settings: dict[str, Any], asked: dict[str, Any]
) -> None:
    assert resource(group(**settings), "dask-workers").properties["resources"] == asked


def test_a_gpu_group_goes_to_nodes_with_such_gpus() -> None:
    properties = resource(group(gpu=GpuPlan("nvidia", 1, "A10")), "dask-workers").properties
    assert properties["runtime_class"] == "nvidia"
    assert properties["tolerations"] == [
        {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
    ]
    assert properties["node_labels"] == {"nvidia.com/gpu.product": ["A10", "NVIDIA-A10"]}
    without = replace(
        group(gpu=GpuPlan("nvidia", 1)), provider=provider(gpu={"runtimeClass": "none"})
    )
    assert "runtime_class" not in resource(without, "dask-workers").properties


def test_a_spot_group_goes_to_the_nodes_that_the_options_name() -> None:
    spot = {"nodeSelector": {"spot": "true"}, "tolerations": ({"key": "spot"},)}
    plan = replace(group(spot=True), provider=provider(spot=spot, nodeSelector={"pool": "x"}))
    properties = resource(plan, "dask-workers").properties
    assert properties["node_selector"] == {"pool": "x", "spot": "true"}
    assert properties["tolerations"] == [{"key": "spot", "operator": "Exists"}]
    assert resource(plan, "dask-scheduler").properties["node_selector"] == {"pool": "x"}


def test_a_groups_own_image_goes_before_the_providers() -> None:
    image = ImagePlan("registry.example/mine:1", "mine")
    properties = resource(group(image=image), "dask-workers").properties
    assert (properties["image"], properties["pull_secrets"]) == (image.ref, ["mine"])


def test_images_that_nobody_names_are_those_of_the_images_file() -> None:
    plan = replace(PLAN, provider=ProviderChoice("kubernetes", {"images": {"profile": "dev"}}))
    image = resource(plan, "dask-scheduler").properties["image"]
    assert image == "localhost:5000/modelops/modelops-scheduler:dev"


def test_a_bucket_that_isnt_managed_is_a_claim_that_is_there_already() -> None:
    store = ObjectStorePlan("results", "pvc", managed=False, bucket="shared")
    plan = replace(PLAN, object_store=store)
    properties = resource(plan, "objects-results").properties
    assert (properties["claim"], properties["managed"]) == ("shared", False)
    assert resource(plan, "dask-workers").properties["objects"] == "shared"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"registry": RegistryPlan("acr")}, "spec.registry.class is 'acr'"),
        ({"registry": RegistryPlan("oci-layout")}, "spec.registry.class is 'oci-layout'"),
        ({"object_store": ObjectStorePlan("r", "local-dir")}, "class is 'local-dir'"),
        ({"object_store": ObjectStorePlan("r", "s3")}, "makes none"),
        ({"databases": (DatabasePlan("j", "sqlite"),)}, "spec.databases.j.engine is 'sqlite'"),
        ({"databases": (DatabasePlan("j", size="huge"),)}, "spec.databases.j.size is 'huge'"),
        ({"databases": (DatabasePlan("j" * 41),)}, "at most 40 characters"),
        ({"algorithms": (replace(ALGORITHM, run_id="r" * 60),)}, "has 60 characters"),
        ({"provider": provider(colour="blue")}, "spec.provider.colour"),
        ({"env": "e" * 60}, "at most 63 characters"),
    ],
)
def test_what_a_cluster_doesnt_run_is_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ProviderError, match=words) as caught:
        compile_plan(replace(PLAN, **change))
    assert caught.value.hint


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"kind": "processes"}, "kind is 'processes'"),
        ({"gpu": GpuPlan("acme", 1)}, "gpu.vendor is 'acme'"),
        ({"gpu": GpuPlan("amd", 1, "MI300")}, "gpu.model"),
        ({"spot": True}, "which nodes are spot isn't said"),
    ],
)
def test_a_group_that_a_cluster_cant_have_is_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ProviderError, match=words) as caught:
        compile_plan(group(**settings))
    assert caught.value.hint


@pytest.mark.parametrize("key", ["cpu", "memory"])
def test_a_quota_wants_groups_to_say_what_they_ask_for(key: str) -> None:
    plan = replace(group(), provider=provider(quota={key: "8"}))
    with pytest.raises(ProviderError, match=rf"resources\.{key} is missing"):
        compile_plan(plan)
    told = replace(group(**{key: 1}), provider=provider(quota={key: "8"}))
    assert resource(told, "modelops").properties["hard"] == {f"requests.{key}": "8"}


def test_a_file_for_another_provider_is_made_to_fit_and_the_notes_say_how() -> None:
    plan = replace(
        PLAN,
        provider=replace(provider(), instead_of=ProviderChoice("azure")),
        registry=RegistryPlan("acr", tls=True, auth="htpasswd"),
        object_store=ObjectStorePlan("results", "azure-blob", bucket="calabaria"),
        databases=(DatabasePlan("journal", "sqlite"),),
        worker_groups=(
            WorkerGroupPlan("default", 1, 1, kind="processes", spot=True),
            WorkerGroupPlan("gpu", 1, 1, profile="gpu"),
        ),
    )
    compiled = compile_plan(plan)
    assert compiled.notes == (
        "spec.provider: a Kubernetes cluster instead of azure",
        "spec.registry: a registry in the cluster instead of acr",
        "spec.objectStore: a volume in the cluster instead of azure-blob",
        "spec.databases.journal: PostgreSQL instead of an SQLite file",
        "spec.workerGroups.default: pods instead of processes",
        "spec.workerGroups.default: not used in this cluster: spot",
        "spec.workerGroups.gpu: one NVIDIA GPU, as `profile: gpu` names none",
    )
    assert resource(plan, "objects-results").properties["claim"] == "objects-results"


def test_a_registry_in_the_cluster_is_never_open_and_the_notes_say_so() -> None:
    (note,) = compile_plan(PLAN).notes
    assert note.startswith("spec.registry: with a password and TLS in any case")
