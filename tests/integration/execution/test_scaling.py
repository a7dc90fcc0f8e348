"""Groups of workers that follow their load, on a real cluster."""

import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import psutil
import pytest

from integration.execution.conftest import SECONDS, Cluster
from modelops.contracts import Future, SimStatus
from modelops.services.dask_simulation import DaskSimulationService

# Each worker that starts takes a second or two of an idle machine.
pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

Start = Callable[..., AbstractContextManager[Cluster]]

MODEL = """
import os, time, psutil

def simulate(params, seed):
    time.sleep(params["seconds"])
    return {"worker": psutil.Process(os.getppid()).ppid()}

def waits(params, seed):
    # Opening a named pipe to read waits until the test opens it to write.
    open(params["pipe"]).close()
    return {"worker": psutil.Process(os.getppid()).ppid()}
"""


def finish(futures: list[Future]) -> None:
    assert [future.result(SECONDS).status for future in futures] == [SimStatus.COMPLETED] * len(
        futures
    )


def wait_for_workers(cluster: Cluster, count: int) -> list[psutil.Process]:
    """Wait until the group has so many worker processes; return them."""
    deadline = time.monotonic() + SECONDS
    while len(workers := cluster.workers()) != count:
        assert time.monotonic() < deadline, f"{len(workers)} workers, not {count}"
        time.sleep(0.05)
    return workers


def test_a_group_of_none_gets_workers_for_its_tasks_and_ends_them(
    start_cluster: Start, tmp_path: Path
) -> None:
    with (
        start_cluster(tmp_path, workers=0, maximum=2, idle_seconds=1.0) as cluster,
        DaskSimulationService(cluster.address, worker_group="cpu") as service,
    ):
        assert cluster.workers() == []
        ref = cluster.push(cluster.write_bundle(MODEL))
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)
        waiting = [
            service.submit("model:waits", {"pipe": str(pipe)}, seed, bundle_ref=ref)
            for seed in range(2)
        ]
        more = [
            service.submit("model:simulate", {"seconds": 0.0}, seed, bundle_ref=ref)
            for seed in range(10)
        ]
        # Two workers, though one could hold all the tasks: each has one slot.
        wait_for_workers(cluster, 2)
        cluster.wait_for_log("has registered", times=2)
        while not all(future.done() for future in waiting):
            # Fails with nobody there to read, which is until a task has begun.
            try:
                os.close(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
            except OSError:
                time.sleep(0.02)
        finish([*waiting, *more])
        wait_for_workers(cluster, 0)

        again = service.submit("model:simulate", {"seconds": 0.0}, 99, bundle_ref=ref)
        finish([again])


def test_new_workers_take_over_what_waits_at_a_busy_one(
    start_cluster: Start, tmp_path: Path
) -> None:
    with (
        start_cluster(tmp_path, workers=1, maximum=3, idle_seconds=600.0) as cluster,
        DaskSimulationService(cluster.address, worker_group="cpu") as service,
    ):
        ref = cluster.push(cluster.write_bundle(MODEL))
        futures = [
            service.submit("model:simulate", {"seconds": 0.5}, seed, bundle_ref=ref)
            for seed in range(60)
        ]
        wait_for_workers(cluster, 3)
        finish(futures)
        assert len({future.result().tables["output"] for future in futures}) == 3


def test_a_busy_worker_stays_while_idle_ones_go(start_cluster: Start, tmp_path: Path) -> None:
    with (
        start_cluster(tmp_path, workers=0, maximum=3, idle_seconds=1.0) as cluster,
        DaskSimulationService(cluster.address, worker_group="cpu") as service,
    ):
        ref = cluster.push(cluster.write_bundle(MODEL))
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)
        wait = {"pipe": str(pipe)}
        longest = service.submit("model:waits", wait, 1, bundle_ref=ref)
        others = [
            service.submit("model:simulate", {"seconds": 0.2}, seed, bundle_ref=ref)
            for seed in range(40)
        ]
        wait_for_workers(cluster, 3)
        finish(others)
        wait_for_workers(cluster, 1)
        pipe.write_text("")
        finish([longest])
        wait_for_workers(cluster, 0)


def test_the_load_is_followed_again_when_the_scheduler_was_away(
    start_cluster: Start, tmp_path: Path
) -> None:
    with (
        start_cluster(tmp_path, workers=0, maximum=1, idle_seconds=600.0) as cluster,
        DaskSimulationService(cluster.address, worker_group="cpu") as service,
    ):
        cluster.scheduler.kill()
        cluster.scheduler.wait()
        cluster.wait_for_log("doesn't tell the load")
        cluster.start_scheduler()
        ref = cluster.push(cluster.write_bundle(MODEL))
        finish([service.submit("model:simulate", {"seconds": 0.0}, 1, bundle_ref=ref)])


def test_tasks_of_another_group_bring_no_workers(start_cluster: Start, tmp_path: Path) -> None:
    with (
        start_cluster(tmp_path, workers=0, maximum=1, idle_seconds=600.0) as cluster,
        DaskSimulationService(cluster.address, worker_group="gpu") as other,
        DaskSimulationService(cluster.address, worker_group="cpu") as own,
    ):
        ref = cluster.push(cluster.write_bundle(MODEL))
        stranger = other.submit("model:simulate", {"seconds": 0.0}, 1, bundle_ref=ref)
        finish([own.submit("model:simulate", {"seconds": 0.0}, 2, bundle_ref=ref)])
        assert not stranger.done()
        assert len(cluster.workers()) == 1


def test_a_scheduler_that_knows_no_groups_is_an_error(start_cluster: Start, tmp_path: Path) -> None:
    with start_cluster(tmp_path, workers=0) as cluster:
        cluster.stop_supervisor()
        cluster.scheduler.terminate()
        cluster.scheduler.wait(SECONDS)
        cluster.start_scheduler(knows_groups=False)
        cluster.start_supervisor(0, maximum=1)
        cluster.wait_for_log("--preload modelops.worker.group_load")
        assert cluster.supervisor.wait(SECONDS) == 1
