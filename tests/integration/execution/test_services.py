"""The services that we ship keep the contract that we ship."""

import importlib.util
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from integration.execution.conftest import Cluster
from modelops.bundles.access import RegistryAccess
from modelops.bundles.packing import pack
from modelops.bundles.stores import open_store
from modelops.contracts import BundleRef
from modelops.services.dask_simulation import DaskSimulationService
from modelops.services.process import ProcessSimulationService
from modelops.services.ray import RaySimulationService
from modelops.services.thread import ThreadSimulationService
from modelops.testing.services import (
    SLOTS,
    ServiceFactory,
    SimulationServiceSuite,
    write_bundle,
)

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> RegistryAccess:
    return RegistryAccess(f"oci-layout://{tmp_path_factory.mktemp('registry') / 'store'}")


@pytest.fixture(scope="module")
def bundle_ref(registry: RegistryAccess, tmp_path_factory: pytest.TempPathFactory) -> BundleRef:
    folder = tmp_path_factory.mktemp("bundle")
    write_bundle(folder)
    return open_store(registry.url).push("tests/contract", pack(folder))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


class TestDaskService(SimulationServiceSuite):
    @pytest.fixture(scope="class")
    @classmethod
    def cluster(
        cls,
        start_cluster: Callable[..., AbstractContextManager[Cluster]],
        tmp_path_factory: pytest.TempPathFactory,
    ) -> Iterator[Cluster]:
        with start_cluster(tmp_path_factory.mktemp("cluster"), workers=SLOTS) as cluster:
            yield cluster

    @pytest.fixture(scope="class")
    @classmethod
    def bundle_ref(cls, cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> BundleRef:
        folder = tmp_path_factory.mktemp("bundle")
        write_bundle(folder)
        return cluster.push(folder)

    @pytest.fixture
    def make_service(self, cluster: Cluster) -> ServiceFactory:
        def make(
            *,
            task_timeout: float | None = None,
            slots: int = SLOTS,
            max_in_flight: int | None = None,
        ) -> DaskSimulationService:
            del max_in_flight
            assert slots == SLOTS
            return DaskSimulationService(cluster.address, task_timeout=task_timeout)

        return make


class TestProcessService(SimulationServiceSuite):
    @pytest.fixture
    def make_service(self, registry: RegistryAccess, cache: Path) -> ServiceFactory:
        return local_factory(ProcessSimulationService, registry=registry, cache_root=cache)


class TestThreadService(SimulationServiceSuite):
    isolates = False

    @pytest.fixture
    def make_service(self, registry: RegistryAccess) -> ServiceFactory:
        return local_factory(ThreadSimulationService, registry=registry)


@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray isn't installed")
class TestRayService(SimulationServiceSuite):
    @pytest.fixture(scope="class")
    @classmethod
    def monkeypatch_class(cls) -> Iterator[pytest.MonkeyPatch]:
        with pytest.MonkeyPatch.context() as patch:
            yield patch

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def ray(cls, monkeypatch_class: pytest.MonkeyPatch) -> Iterator[None]:
        """Start Ray once: it takes seconds, and each service takes the one that runs."""
        monkeypatch_class.setenv("RAY_USAGE_STATS_ENABLED", "0")
        import ray

        ray.init(
            # A test has two services.
            num_cpus=2 * SLOTS,
            include_dashboard=False,
            log_to_driver=False,
            configure_logging=False,
            _node_ip_address="127.0.0.1",
        )
        yield
        ray.shutdown()

    @pytest.fixture
    def make_service(self, registry: RegistryAccess) -> ServiceFactory:
        def make(
            *,
            task_timeout: float | None = None,
            slots: int = SLOTS,
            max_in_flight: int | None = None,
        ) -> RaySimulationService:
            del max_in_flight
            return RaySimulationService(None, slots, registry=registry, task_timeout=task_timeout)

        return make


def local_factory(service: Callable[..., Any], **options: Any) -> ServiceFactory:
    """Return what makes services on this machine, whose queue is the only one."""

    def make(
        *, task_timeout: float | None = None, slots: int = SLOTS, max_in_flight: int | None = None
    ) -> Any:
        del max_in_flight
        return service(slots, task_timeout=task_timeout, **options)

    return make
