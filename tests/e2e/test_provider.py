"""The provider `kubernetes` on a real cluster: made, as planned, healed, taken down, made again."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from kubernetes_environment import KEPT, Environment

pytestmark = [pytest.mark.k8s, pytest.mark.timeout(600, func_only=True)]

_STORES = ("registry", "infra")


def test_stores_are_made_stay_heal_and_keep_their_data(environment: Environment) -> None:
    preview = environment.do("preview", "registry")
    assert preview.error == ""
    assert preview.changes["registry"]["create"] > 5

    first = environment.up(*_STORES)
    assert first.bindings["env"]["OBJECT_STORE_URL"] == "file:///var/lib/modelops/objects"
    again = environment.up(*_STORES)
    assert [set(changes) for changes in again.changes.values()] == [{"same"}] * 2
    assert again.bindings == first.bindings

    environment.sql("CREATE TABLE kept (n int); INSERT INTO kept VALUES (42)")
    password = environment.secret("database-journal", "password")

    environment.kubectl("delete", "deployment/registry", "service/registry", "--wait=true")
    environment.kubectl("delete", "statefulset/database-journal", "secret/registry-tls")
    healed = environment.up(*_STORES)
    assert healed.changes["registry"]["create"] == 3
    assert healed.changes["infra"]["create"] == 1
    assert healed.bindings == first.bindings
    assert environment.sql("SELECT n FROM kept") == "42"

    environment.down("infra", "registry")
    assert environment.there() == KEPT
    assert environment.secret("database-journal", "password") == password

    environment.up(*_STORES)
    assert environment.secret("database-journal", "password") != password
    assert environment.sql("SELECT n FROM kept") == "42"
    environment.down("infra", "registry")


def test_a_workspace_is_made_heals_and_goes(environment: Environment) -> None:
    environment.write(workerGroups={"default": {"min": 1, "max": 2, "processes": 2}})
    first = environment.up(*_STORES, "workspace")
    assert first.bindings["env"]["DASK_SCHEDULER"] == (
        f"tls://dask-scheduler.{environment.namespace}.svc:8786"
    )
    # How many replicas there are is the scaler's to choose.
    environment.kubectl("scale", "deployment/dask-workers", "--replicas=2")
    environment.kubectl("rollout", "status", "deployment/dask-workers", "--timeout=60s")
    assert set(environment.up("workspace").changes["workspace"]) == {"same"}
    environment.kubectl("delete", "deployment/dask-scheduler", "secret/dask-tls")
    healed = environment.up("workspace")
    assert healed.changes["workspace"]["create"] == 2
    assert healed.bindings == first.bindings
    environment.down("workspace", "infra", "registry")
    assert environment.there() == KEPT


@pytest.mark.parametrize(
    ("provider", "named"),
    [
        ({"images": {"registry": "10.42.0.1:5000/nobody/nothing:1"}}, ("pod registry-", "nothing")),
        (
            {"storageClass": "missing"},
            ("PersistentVolumeClaim registry-data", '"missing" not found'),
        ),
        (
            {"nodeSelector": {"gpu": "none"}},
            ("pod registry-", "can't be placed", "affinity/selector"),
        ),
    ],
    ids=["image", "storage class", "node"],
)
def test_what_keeps_a_part_from_being_ready_is_told_and_up_goes_on_once_its_mended(
    environment: Environment, provider: dict[str, Any], named: tuple[str, ...]
) -> None:
    images = {**environment.images, **provider.get("images", {})}
    environment.write({**provider, "images": images, "readyTimeout": "35s"})
    failed = environment.do("up", "registry")
    for word in named:
        assert any(word in step for step in failed.steps), failed.steps
        assert word in failed.error
    if "storageClass" in provider:
        # A claim's class can't be changed.
        environment.kubectl("delete", "persistentvolumeclaim/registry-data")
    environment.write()
    environment.up("registry")
    assert "deployment/registry" in environment.there()


def test_groups_that_get_no_pods_are_told_and_up_goes_on_once_theyre_mended(
    environment: Environment,
) -> None:
    environment.up(*_STORES)
    groups = {
        "cpus": {"min": 1, "max": 1, "resources": {"cpu": "100", "memory": "256Mi"}},
        "gpus": {
            "min": 1,
            "max": 1,
            "resources": {"cpu": "100m", "memory": "256Mi"},
            "gpu": {"vendor": "nvidia", "count": 1},
        },
    }
    limited = {"quota": {"cpu": "8"}, "gpu": {"runtimeClass": "none"}, "readyTimeout": "45s"}
    environment.write(limited, workerGroups=groups)
    failed = environment.do("up", "workspace")
    for words in (
        ("dask-workers-cpus", "exceeded quota: modelops"),
        ("dask-workers-gpus", "nvidia.com/gpu"),
    ):
        assert any(all(word in step for word in words) for step in failed.steps), failed.steps
        assert all(word in failed.error for word in words), failed.error

    del groups["gpus"]
    groups["cpus"]["resources"] = {"cpu": "100m", "memory": "256Mi"}
    environment.write({"quota": {"cpu": "8"}}, workerGroups=groups)
    environment.up("workspace")
    assert "deployment/dask-workers" in environment.there()
    environment.down("workspace", "infra", "registry")


def test_a_cluster_that_cant_be_used_is_named(environment: Environment) -> None:
    environment.write({"context": "elsewhere"})
    failed = environment.do("up", "registry")
    assert "has no context 'elsewhere'" in failed.error
    gone = yaml.safe_load(environment.cluster.kubeconfig.read_text())
    gone["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
    kubeconfig = environment.folder / "gone"
    kubeconfig.write_text(yaml.safe_dump(gone))
    environment.write({"kubeconfig": str(kubeconfig)})
    failed = environment.do("up", "registry")
    assert "unreachable" in failed.error
    assert "127.0.0.1:1" in failed.error
