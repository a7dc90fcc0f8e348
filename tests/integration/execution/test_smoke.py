"""The smoke test on a real cluster and a real registry: it passes, or names the step that fails."""

import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import dask.config
import psutil
import pytest
from distributed import LocalCluster

from integration.execution.conftest import Cluster
from integration.registry_process import RegistryProcess, running_registry
from modelops.bundles.access import RegistryAccess
from modelops.bundles.packing import pack
from modelops.bundles.stores import open_store
from modelops.contracts import BundleRef
from modelops.core.errors import ServiceError
from modelops.services.cluster_place import ClusterPlace
from modelops.services.connection_checks import connection_checks
from modelops.services.dask_check import check_cluster
from modelops.services.smoke_steps import Step, StepOutcome
from modelops.services.smoke_test import SmokeRequest, SmokeTest

pytestmark = pytest.mark.integration

MODEL = """\
import sys
import time


def simulate(params, seed):
    if params["do"] == "raise":
        print("about to fail", file=sys.stderr)
        raise ValueError("no such luck")
    if params["do"] == "hang":
        time.sleep(600)
    return {"day": [0, 1, 2], "cases": [seed, 2, 3]}
"""


@pytest.fixture(scope="module")
def cluster(
    start_cluster: Callable[..., AbstractContextManager[Cluster]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("cluster")
    (folder / "store").mkdir()
    with start_cluster(folder, workers=2) as running:
        yield running


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryProcess]:
    with running_registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture(scope="module")
def bundle(cluster: Cluster) -> Path:
    return cluster.write_bundle(MODEL)


def smoke(
    cluster: Cluster, on_begin: Callable[[Step], None] = lambda _step: None, **options: Any
) -> list[StepOutcome]:
    store = options.pop("store_url", cluster.store_url)
    request = SmokeRequest(
        registry=lambda: RegistryAccess(store),
        scheduler=lambda: ClusterPlace(cluster.address),
        **options,
    )
    return list(SmokeTest(request).steps(on_begin))


def failed(cluster: Cluster, **options: Any) -> StepOutcome:
    """Return the one step that failed, which is the last."""
    *before, last = smoke(cluster, **options)
    assert all(outcome.is_ok for outcome in before)
    assert not last.is_ok
    assert last.hint
    return last


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    process = psutil.Process(pid)
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


def test_it_passes_and_no_worker_has_the_bundle_already(cluster: Cluster) -> None:
    pushed = set()
    for _ in range(2):
        outcomes = smoke(cluster)
        assert [(outcome.step, outcome.reason) for outcome in outcomes] == [
            (step, "") for step in Step
        ]
        pushed.add(outcomes[list(Step).index(Step.PUSH)].detail)
    assert len(pushed) == 2
    assert open_store(cluster.store_url).list_repositories() == ["modelops-smoke-test"]


def test_it_passes_on_a_registry_and_with_a_bundle_that_is_there(
    cluster: Cluster, registry: RegistryProcess, bundle: Path
) -> None:
    url = f"oci://{registry.host}/team"
    outcomes = smoke(cluster, elsewhere=url)
    assert [outcome.step for outcome in outcomes if outcome.is_ok] == list(Step)
    pushed = open_store(url).push("model", pack(bundle))
    ref = BundleRef(f"team/{pushed.repository}", pushed.digest, registry.host)
    outcomes = smoke(cluster, bundle=ref, params={"do": "run"})
    assert [outcome.step for outcome in outcomes if outcome.is_ok] == list(Step)
    assert outcomes[-1].detail == "output: 3 rows, 2 columns"


def test_a_model_that_raises_is_named_with_its_error(cluster: Cluster, bundle: Path) -> None:
    found = failed(cluster, bundle=bundle, params={"do": "raise"})
    assert found.step is Step.RUN
    assert found.reason == "The model failed: ValueError: no such luck"
    assert "--param" in found.hint
    assert 'File "model.py", line 8, in simulate' in found.output
    assert "about to fail" in found.output


def test_a_model_that_hangs_is_named(cluster: Cluster, bundle: Path) -> None:
    found = failed(cluster, bundle=bundle, params={"do": "hang"}, seconds=20)
    assert found.step is Step.RUN
    assert "timeout" in found.reason
    assert "--timeout" in found.hint


def test_a_scheduler_that_is_stopped_is_named_before_and_during_the_run(
    cluster: Cluster, bundle: Path
) -> None:
    pid = cluster.scheduler.pid
    with stopped(pid):
        found = failed(cluster, seconds=3)
    assert found.step is Step.SCHEDULER
    assert cluster.address in found.reason

    def stop(step: Step) -> None:
        if step is Step.RUN:
            psutil.Process(pid).suspend()

    try:
        found = failed(cluster, bundle=bundle, params={"do": "hang"}, seconds=20, on_begin=stop)
    finally:
        psutil.Process(pid).resume()
    assert found.step is Step.RUN
    assert f"scheduler at {cluster.address} doesn't answer" in found.reason


def test_a_scheduler_that_isnt_there_is_named(cluster: Cluster) -> None:
    request = SmokeRequest(
        registry=lambda: RegistryAccess(cluster.store_url),
        scheduler=lambda: ClusterPlace("tcp://127.0.0.1:1"),
        seconds=2,
    )
    last = list(SmokeTest(request).steps(lambda _step: None))[-1]
    assert last.step is Step.SCHEDULER
    assert "127.0.0.1:1" in last.reason


def test_a_worker_that_is_stopped_is_named(cluster: Cluster) -> None:
    worker = cluster.workers()[0]
    with stopped(worker.pid):
        found = failed(cluster, seconds=15)
        checked = check_cluster(ClusterPlace(cluster.address), 8)
    assert found.step is Step.WORKERS
    assert "doesn't answer" in found.reason
    (unfit,) = checked.unfit
    assert unfit.name == worker.cmdline()[worker.cmdline().index("--name") + 1]
    assert unfit.name in found.reason


def test_workers_that_know_another_registry_are_named(cluster: Cluster, tmp_path: Path) -> None:
    found = failed(cluster, store_url=f"oci-layout://{tmp_path}")
    assert found.step is Step.WORKERS
    assert "can't get the bundle: There is no bundle modelops-smoke-test@sha256" in found.reason
    found = failed(cluster, elsewhere=f"oci-layout://{tmp_path}")
    assert found.step is Step.REGISTRY
    assert "--registry" in found.hint


def test_a_registry_that_hangs_or_is_gone_is_named(
    cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with running_registry(tmp_path_factory.mktemp("registry")) as registry:
        with stopped(registry.pid):
            found = failed(cluster, elsewhere=f"oci://{registry.host}", seconds=2)
        assert found.step is Step.REGISTRY
        assert f"{registry.host} doesn't answer" in found.reason
        process = psutil.Process(registry.pid)
        process.kill()
        found = failed(cluster, elsewhere=f"oci://{registry.host}")
    assert found.step is Step.REGISTRY
    assert registry.host in found.reason


def test_without_workers_it_says_so_unless_they_come_for_the_task(
    start_cluster: Callable[..., AbstractContextManager[Cluster]], tmp_path: Path
) -> None:
    (tmp_path / "store").mkdir()
    with start_cluster(tmp_path, workers=0, maximum=1) as cluster:
        place = ClusterPlace(cluster.address)
        checks = {
            empty: [check.name for check in checked if not check.is_ok]
            for empty in (True, False)
            for checked in [connection_checks(check_cluster(place, 10), may_be_empty=empty)]
        }
        assert checks == {True: [], False: ["workers"]}
        assert smoke(cluster)[-1].step is Step.RESULT
        cluster.stop_supervisor()
        found = failed(cluster, seconds=3)
    assert found.step is Step.WORKERS
    assert "No worker has registered" in found.reason
    assert "mops workspace up" in found.hint


def test_a_connection_tells_versions_workers_and_the_registry(cluster: Cluster) -> None:
    found = check_cluster(ClusterPlace(cluster.address), 20)
    assert [(worker.group, worker.slots) for worker in found.workers] == [("cpu", 1)] * 2
    assert {worker.registry for worker in found.workers} == {cluster.store_url}
    assert found.slots == 2
    checks = {check.name: check for check in connection_checks(found, may_be_empty=False)}
    assert list(checks) == ["scheduler", "versions", "workers", "registry"]
    assert all(check.is_ok for check in checks.values())
    store = Path(cluster.store_url.removeprefix("oci-layout://"))
    hidden = store.rename(store.with_name("elsewhere"))
    try:
        found = check_cluster(ClusterPlace(cluster.address), 20)
    finally:
        hidden.rename(store)
    checks = {check.name: check for check in connection_checks(found, may_be_empty=False)}
    assert f"There is no folder {store}" in checks["registry"].reason
    assert checks["workers"].is_ok


def test_a_worker_that_runs_no_bundles_is_told_how_to_be_started(cluster: Cluster) -> None:
    with LocalCluster(
        n_workers=1, threads_per_worker=3, processes=False, dashboard_address="127.0.0.1:0"
    ) as plain:
        place = ClusterPlace(plain.scheduler_address)
        (unfit,) = check_cluster(place, 20).unfit
        request = SmokeRequest(
            registry=lambda: RegistryAccess(cluster.store_url), scheduler=lambda: place
        )
        last = list(SmokeTest(request).steps(lambda _step: None))[-1]
    assert (unfit.group, unfit.slots) == ("", 3)
    assert "--preload modelops.worker.preload" in unfit.problem
    assert last.step is Step.WORKERS
    assert unfit.problem in last.reason


def test_a_worker_that_its_scheduler_cant_connect_to_is_told() -> None:
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "500ms"}),
        LocalCluster(
            n_workers=1,
            threads_per_worker=1,
            processes=False,
            protocol="tcp",
            dashboard_address="127.0.0.1:0",
        ) as plain,
    ):
        (worker,) = plain.workers.values()

        async def stop_listening() -> None:
            for listener in worker.listeners:
                listener.stop()

        plain.sync(stop_listening)
        (unfit,) = check_cluster(ClusterPlace(plain.scheduler_address), 20).unfit
    assert "can't connect" in unfit.problem


def test_what_isnt_a_scheduler_is_told_from_one(registry: RegistryProcess) -> None:
    with pytest.raises(ServiceError) as caught:
        check_cluster(ClusterPlace(f"tcp://{registry.host}"), 3)
    assert registry.host in caught.value.message
    assert caught.value.hint
