"""Parts of a real cluster are killed; nothing is lost and nothing is left behind."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest
from distributed import Client
from distributed.comm import CommClosedError

from modelops.contracts import BundleRef, Future, SimReturn, SimStatus
from modelops.core.errors import ServiceError
from modelops.services.dask_simulation import DaskSimulationService

pytestmark = pytest.mark.integration

SECONDS = 50.0

MODEL = """
import psutil, os, random, time

def simulate(params, seed):
    return {"x": random.Random(seed).random(), "beta": params["beta"]}

def large(params, seed):
    return {"x": random.Random(seed).choices(range(100), k=20_000)}

def slow(params, seed):
    time.sleep(0.05)
    return simulate(params, seed)

def tells_once(params, seed):
    try:
        # Opening a named pipe to write waits until the test opens it to read.
        with open(os.open(params["pipe"], os.O_WRONLY), "w") as pipe:
            os.remove(params["pipe"])
            pipe.write(f"{os.getpid()} {psutil.Process(os.getppid()).ppid()}")
    except FileNotFoundError:
        return simulate({"beta": 0.0}, seed)
    time.sleep(600)
"""


def _submit(
    service: DaskSimulationService, function: str, ref: BundleRef, count: int
) -> list[Future]:
    return [
        service.submit(f"model:{function}", {"beta": seed / 3}, seed, bundle_ref=ref)
        for seed in range(count)
    ]


def _contents(outcomes: list[SimReturn]) -> list[tuple[str, dict[str, bytes]]]:
    return [(outcome.task_id, dict(outcome.tables)) for outcome in outcomes]


def _start_and_meet(
    service: DaskSimulationService, ref: BundleRef, folder: Path
) -> tuple[Future, psutil.Process, psutil.Process]:
    """Start a simulation that sleeps, the first time; return its child and its worker."""
    pipe = folder / "pipe"
    os.mkfifo(pipe)
    future = service.submit("model:tells_once", {"pipe": str(pipe)}, 1, bundle_ref=ref)
    child, worker = pipe.read_text().split()
    return future, psutil.Process(int(child)), psutil.Process(int(worker))


@pytest.mark.timeout(180)  # three clusters
def test_results_do_not_depend_on_the_number_of_workers(start_cluster: Any, tmp_path: Path) -> None:
    contents = []
    for workers in (1, 2, 4):
        folder = tmp_path / str(workers)
        folder.mkdir()
        with (
            start_cluster(folder, workers) as cluster,
            DaskSimulationService(cluster.address) as service,
        ):
            futures = _submit(service, "simulate", cluster.push(cluster.write_bundle(MODEL)), 50)
            contents.append(_contents(service.gather(futures)))
            state = json.loads(cluster.ready_file.read_text())
            assert state["workers"] == [f"cpu-{index}" for index in range(workers)]
            assert state["pid"] == cluster.supervisor.pid

    assert contents[0] == contents[1] == contents[2]


def test_a_connection_that_breaks_while_results_come_costs_none(
    start_cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, breaks = Client._gather_remote, iter([True, True])

    async def gather(client: Any, *arguments: Any) -> Any:
        if next(breaks, False):
            # As the real one does before it asks.
            client._gather_keys = client._gather_future = None
            raise CommClosedError("broken by the test")
        return await real(client, *arguments)

    with (
        start_cluster(tmp_path, workers=1) as cluster,
        DaskSimulationService(cluster.address) as service,
    ):
        ref = cluster.push(cluster.write_bundle(MODEL))
        # Short results come without being fetched.
        expected = service.gather(_submit(service, "large", ref, 10))
        monkeypatch.setattr(Client, "_gather_remote", gather)
        outcomes = service.gather(_submit(service, "large", ref, 10))
    assert next(breaks, None) is None
    assert _contents(outcomes) == _contents(expected)


def test_a_killed_worker_costs_no_result_and_is_started_again(
    start_cluster: Any, tmp_path: Path
) -> None:
    with (
        start_cluster(tmp_path, workers=2) as cluster,
        DaskSimulationService(cluster.address) as service,
    ):
        ref = cluster.push(cluster.write_bundle(MODEL))
        expected = service.gather(_submit(service, "simulate", ref, 60))
        futures = _submit(service, "slow", ref, 60)
        futures[10].result(SECONDS)
        victim = cluster.workers()[0]
        children = victim.children(recursive=True)
        victim.kill()
        outcomes = [future.result(SECONDS) for future in futures]
        cluster.wait_for_log("has registered", times=3)

        assert [dict(outcome.tables) for outcome in outcomes] == [
            dict(outcome.tables) for outcome in expected
        ]
        cluster.assert_gone([victim, *children])
        assert len(cluster.workers()) == 2


@pytest.mark.parametrize("allowed_failures", ["100", "0"])
def test_a_simulation_whose_worker_is_killed_is_run_again(
    start_cluster: Any, tmp_path: Path, allowed_failures: str
) -> None:
    # With none allowed Dask blames the task, and the service submits it again.
    scheduler_env = {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": allowed_failures}
    with (
        start_cluster(tmp_path, workers=1, scheduler_env=scheduler_env) as cluster,
        DaskSimulationService(cluster.address) as service,
    ):
        future, child, worker = _start_and_meet(
            service, cluster.push(cluster.write_bundle(MODEL)), tmp_path
        )
        worker.kill()

        assert future.result(SECONDS).status is SimStatus.COMPLETED
        cluster.assert_gone([child, worker])


def test_a_simulation_whose_child_is_killed_is_run_again(
    start_cluster: Any, tmp_path: Path
) -> None:
    with (
        start_cluster(tmp_path, workers=1) as cluster,
        DaskSimulationService(cluster.address) as service,
    ):
        future, child, worker = _start_and_meet(
            service, cluster.push(cluster.write_bundle(MODEL)), tmp_path
        )
        child.kill()

        assert future.result(SECONDS).status is SimStatus.COMPLETED
        assert worker.is_running()


def test_simulations_outlive_a_scheduler(start_cluster: Any, tmp_path: Path) -> None:
    with (
        start_cluster(tmp_path, workers=1) as cluster,
        DaskSimulationService(cluster.address) as service,
    ):
        ref = cluster.push(cluster.write_bundle(MODEL))
        future, child, _ = _start_and_meet(service, ref, tmp_path)
        others = _submit(service, "simulate", ref, 5)
        cluster.scheduler.kill()
        cluster.scheduler.wait()
        cluster.start_scheduler()

        assert [outcome.result(SECONDS).status for outcome in (future, *others)] == [
            SimStatus.COMPLETED
        ] * 6
        cluster.assert_gone([child])


@pytest.mark.timeout(120)
def test_a_service_can_be_closed_while_its_scheduler_is_away(
    start_cluster: Any, tmp_path: Path
) -> None:
    with start_cluster(tmp_path, workers=1) as cluster:
        service = DaskSimulationService(cluster.address, reconnect_timeout=600)
        ref = cluster.push(cluster.write_bundle(MODEL))
        future, _, _ = _start_and_meet(service, ref, tmp_path)
        cluster.scheduler.kill()
        cluster.scheduler.wait()
        service.close()
        assert future.cancelled()


def test_a_scheduler_that_stays_away_is_an_error(start_cluster: Any, tmp_path: Path) -> None:
    with (
        start_cluster(tmp_path, workers=1) as cluster,
        DaskSimulationService(cluster.address, reconnect_timeout=1) as service,
    ):
        ref = cluster.push(cluster.write_bundle(MODEL))
        future, _, _ = _start_and_meet(service, ref, tmp_path)
        cluster.scheduler.kill()
        with pytest.raises(ServiceError, match="is gone"):
            future.result(SECONDS)


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGTERM, 0)]
)
def test_all_that_a_supervisor_started_ends_with_it(
    start_cluster: Any, tmp_path: Path, number: signal.Signals, status: int
) -> None:
    with (
        start_cluster(tmp_path, workers=2) as cluster,
        DaskSimulationService(cluster.address) as service,
    ):
        _, child, worker = _start_and_meet(
            service, cluster.push(cluster.write_bundle(MODEL)), tmp_path
        )
        workers = cluster.workers()
        assert worker in workers
        cluster.supervisor.send_signal(number)

        assert cluster.supervisor.wait(SECONDS) == status
        cluster.assert_gone([child, *workers])
