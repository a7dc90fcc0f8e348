"""Secrets and data of an environment in a real cluster: stored, listed, deleted."""

import base64
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from modelops.core.errors import ProviderError
from modelops.providers.kubernetes import names
from reached_namespace import PROVIDER, ReachedNamespace, reached_namespace
from testcluster import Access

pytestmark = [pytest.mark.k8s, pytest.mark.timeout(180, func_only=True)]


@pytest.fixture
def reached(
    cluster: Access, test_image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ReachedNamespace]:
    """A name for an environment's namespace, in the cluster's network."""
    monkeypatch.setenv("MODELOPS_HOME", str(tmp_path / "home"))
    with cluster.inside(), reached_namespace(cluster, test_image) as namespace:
        yield namespace


def test_secrets_are_keys_of_one_secret(reached: ReachedNamespace) -> None:
    store = PROVIDER.secrets(reached.plan())
    assert store.entries() == ()
    store.delete("not-there")

    # Before anything is up, many at once.
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda n: store.put(f"key-{n}", f"value {n}".encode()), range(8)))
    store.put("key-0", b"\x00\xff")
    store.delete("key-1")
    store.delete("key-1")

    assert [entry.name for entry in store.entries()] == [
        "key-0",
        *(f"key-{n}" for n in range(2, 8)),
    ]
    assert [entry.size for entry in store.entries()][:2] == [2, 7]
    found = json.loads(reached.pods.kubectl("get", "secret", "modelops-secrets", "-o", "json"))
    assert base64.b64decode(found["data"]["key-0"]) == b"\x00\xff"
    namespace = json.loads(reached.pods.kubectl("get", "namespace", reached.name, "-o", "json"))
    assert names.namespace_labels("reached").items() <= namespace["metadata"]["labels"].items()
    assert reached.name in store.where


def test_all_data_go_with_the_namespace(reached: ReachedNamespace) -> None:
    reached.create()
    reached.pods.apply(_claim("objects-results"), reached.secret("database-journal", password="x"))
    plan = reached.plan()

    gone = PROVIDER.delete_data(plan)

    assert gone == (
        f"volume claim {reached.name}/objects-results",
        f"secret {reached.name}/database-journal",
        f"namespace {reached.name}",
    )
    left = reached.cluster.kubectl("get", "namespace", reached.name, "--ignore-not-found")
    assert left == ""
    assert PROVIDER.delete_data(plan) == ()


def test_in_somebody_elses_namespace_only_ours_goes(reached: ReachedNamespace) -> None:
    reached.create(owner="somebody")
    theirs = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "theirs"}}
    reached.pods.apply(_claim("objects-results"), theirs)
    plan = reached.plan(createNamespace=False)

    assert PROVIDER.delete_data(plan) == (f"volume claim {reached.name}/objects-results",)

    assert reached.pods.kubectl("get", "pvc", "-o", "name") == ""
    assert "secret/theirs" in reached.pods.kubectl("get", "secrets", "-o", "name")
    assert PROVIDER.delete_data(plan) == ()


def test_no_namespace_is_made_that_is_not_ours_to_make(reached: ReachedNamespace) -> None:
    store = PROVIDER.secrets(reached.plan(createNamespace=False))

    with pytest.raises(ProviderError, match="isn't ours to make") as caught:
        store.put("key", b"a value")

    assert "a value" not in str(caught.value)


def _claim(name: str) -> dict[str, object]:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}
    metadata = {"name": name, "labels": names.labels("reached", name, names.OBJECTS_ROLE)}
    kind = {"apiVersion": "v1", "kind": "PersistentVolumeClaim"}
    return {**kind, "metadata": metadata, "spec": spec}
