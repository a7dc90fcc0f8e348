"""The Kubernetes that end-to-end tests use: one of their own, or the one that they are given."""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from built_images import build_images
from cluster_images import push_images
from cluster_runs import spec, write_bundle
from kubernetes_environment import Environment
from kubernetes_namespace import KubernetesNamespace
from kubernetes_stack import KubernetesStack
from testcluster import Access, Cluster, what_is_missing
from testcluster.images import BUSYBOX_IMAGE, busybox_image, write_archive

KUBECONFIG_VARIABLE = "MODELOPS_TEST_KUBECONFIG"
REGISTRY_VARIABLE = "MODELOPS_TEST_REGISTRY"


@pytest.fixture(scope="session")
def may_start_clusters() -> None:
    """Skip where no cluster can run, and say why; in CI that is a failure."""
    missing = what_is_missing()
    if missing and os.environ.get("CI") == "true":
        pytest.fail(missing)
    if missing:
        pytest.skip(missing)


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest) -> Iterator[Access]:
    """A cluster for all tests of the session: their own, or the one that the environment names."""
    kubeconfig = os.environ.get(KUBECONFIG_VARIABLE)
    if kubeconfig:
        registry = os.environ.get(REGISTRY_VARIABLE)
        if not registry:
            pytest.fail(f"{KUBECONFIG_VARIABLE} needs {REGISTRY_VARIABLE} (host:port) beside it")
        yield Access("existing", Path(kubeconfig).absolute(), registry)
        return
    request.getfixturevalue("may_start_clusters")
    with Cluster(f"modelops-e2e-{os.getpid()}") as started:
        yield started


@pytest.fixture
def own_cluster(cluster: Access) -> Cluster:
    """The cluster, for tests that need its parts or its network."""
    if not isinstance(cluster, Cluster):
        pytest.skip("is about the clusters that the tests start, and another one was named")
    return cluster


@pytest.fixture(scope="session")
def test_image(cluster: Access, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The image of simple test pods: busybox, sleeping."""
    if isinstance(cluster, Cluster):
        return BUSYBOX_IMAGE
    archive = tmp_path_factory.mktemp("image") / "busybox.tar"
    return cluster.push_image(write_archive(busybox_image(), archive), "modelops-test/busybox")


@pytest.fixture
def namespace(cluster: Access, test_image: str) -> Iterator[KubernetesNamespace]:
    """A Kubernetes namespace of the test's own."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    cluster.kubectl("create", "namespace", name)
    yield KubernetesNamespace(cluster, name, test_image)
    cluster.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
def stack(tmp_path: Path, namespace: KubernetesNamespace) -> Iterator[KubernetesStack]:
    """A stack whose provider's default namespace is the test's own; it's destroyed afterwards."""
    made = KubernetesStack(
        tmp_path,
        namespace.cluster,
        kubeconfig=f"secret:{namespace.cluster.kubeconfig.read_text()}",
        namespace=namespace.name,
        enableServerSideApply=True,
    )
    yield made
    assert made.destroy().error == ""


@pytest.fixture(scope="session")
def images(cluster: Access, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The images of all parts, in the cluster's registry: part → reference by digest."""
    return push_images(cluster, build_images(), tmp_path_factory.mktemp("images"))


@pytest.fixture
def environment(cluster: Access, images: dict[str, str], tmp_path: Path) -> Iterator[Environment]:
    made = Environment(cluster, tmp_path, f"e2e-{uuid.uuid4().hex[:6]}", images)
    made.write()
    yield made
    cluster.kubectl("delete", "namespace", made.namespace, "--ignore-not-found", "--wait=false")


@pytest.fixture(scope="session")
def workspace(
    cluster: Access, images: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Environment]:
    """An environment that is up, but for runs: for all tests that leave it up."""
    folder = tmp_path_factory.mktemp("workspace")
    made = Environment(cluster, folder, f"e2e-{uuid.uuid4().hex[:6]}", images)
    made.write(**spec())
    made.up("registry", "infra", "workspace")
    yield made
    cluster.kubectl("delete", "namespace", made.namespace, "--ignore-not-found", "--wait=false")


@pytest.fixture(scope="session")
def slow_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle whose simulations take half a second."""
    return write_bundle(tmp_path_factory.mktemp("bundle") / "sir")
