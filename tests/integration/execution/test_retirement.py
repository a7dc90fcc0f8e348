"""Workers that have to go: they finish what runs, what waits goes elsewhere, nothing is lost."""

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import psutil
import pytest

from integration.execution.conftest import SECONDS, Cluster
from modelops.contracts import SimStatus
from modelops.services.dask_simulation import DaskSimulationService
from modelops.worker.group_load import GroupLoads
from modelops.worker.retire_signal import RETIRE_SIGNAL

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

Start = Callable[..., AbstractContextManager[Cluster]]

MODEL = """
import os, psutil, time

def simulate(params, seed):
    with open(params["runs"], "a") as runs:
        runs.write(f"{seed}\\n")
    time.sleep(params["seconds"])
    return {"x": seed}

def waits(params, seed):
    with open(params["pipe"], "w") as pipe:
        pipe.write(str(psutil.Process(os.getppid()).ppid()))
    # Opening a named pipe to read waits until the test opens it to write.
    open(params["end"]).close()
    return simulate({"runs": params["runs"], "seconds": 0.0}, seed)
"""


def test_a_group_that_is_ended_in_a_run_loses_nothing_and_repeats_nothing(
    start_cluster: Start, tmp_path: Path
) -> None:
    runs = tmp_path / "runs"
    with (
        start_cluster(tmp_path, workers=2, grace_seconds=SECONDS) as cluster,
        DaskSimulationService(cluster.address, worker_group="cpu") as service,
    ):
        ref = cluster.push(cluster.write_bundle(MODEL))
        params = {"runs": str(runs), "seconds": 0.1}
        futures = [
            service.submit("model:simulate", params, seed, bundle_ref=ref) for seed in range(200)
        ]
        futures[30].result(SECONDS)
        cluster.supervisor.terminate()
        assert cluster.supervisor.wait(SECONDS) == 0
        finished = sum(future.done() for future in futures)
        assert 0 < finished < 200
        cluster.stop_supervisor()
        cluster.start_supervisor(1)
        outcomes = [future.result(SECONDS) for future in futures]
    assert {outcome.status for outcome in outcomes} == {SimStatus.COMPLETED}
    assert Counter(runs.read_text().split()) == {str(seed): 1 for seed in range(200)}


def retire_by_scheduler(cluster: Cluster, worker: psutil.Process) -> None:
    """Retire a worker as a scaler does, which lets it go later."""
    command = worker.cmdline()
    name = command[command.index("--name") + 1]

    async def retire() -> set[str]:
        async with GroupLoads(cluster.address) as loads:
            return await loads.retire([name])

    assert asyncio.run(retire()) == {name}


def retire_by_signal(_cluster: Cluster, worker: psutil.Process) -> None:
    worker.send_signal(RETIRE_SIGNAL)


@pytest.mark.parametrize("retire", [retire_by_signal, retire_by_scheduler])
def test_what_waits_at_a_worker_that_goes_is_run_by_another_meanwhile(
    start_cluster: Start, tmp_path: Path, retire: Callable[[Cluster, psutil.Process], None]
) -> None:
    pipe, end, runs = tmp_path / "pipe", tmp_path / "end", tmp_path / "runs"
    os.mkfifo(pipe)
    os.mkfifo(end)
    with (
        start_cluster(tmp_path, workers=2) as cluster,
        DaskSimulationService(cluster.address, worker_group="cpu") as service,
    ):
        ref = cluster.push(cluster.write_bundle(MODEL))
        wait = {"pipe": str(pipe), "end": str(end), "runs": str(runs)}
        longest = service.submit("model:waits", wait, 1000, bundle_ref=ref)
        leaver = psutil.Process(int(pipe.read_text()))
        params = {"runs": str(runs), "seconds": 0.3}
        others = [
            service.submit("model:simulate", params, seed, bundle_ref=ref) for seed in range(12)
        ]
        others[0].result(SECONDS)
        retire(cluster, leaver)
        assert [other.result(SECONDS).status for other in others] == [SimStatus.COMPLETED] * 12
        assert not longest.done()
        assert leaver.is_running()
        end.write_text("")
        assert longest.result(SECONDS).status is SimStatus.COMPLETED
        if retire is retire_by_scheduler:
            later = service.submit("model:simulate", params, 99, bundle_ref=ref)
            assert later.result(SECONDS).status is SimStatus.COMPLETED
            assert leaver.is_running()
            leaver.send_signal(RETIRE_SIGNAL)
        cluster.assert_gone([leaver])
    ran = Counter(runs.read_text().split())
    ran.pop("99", None)
    assert ran == {str(seed): 1 for seed in (1000, *range(12))}


@pytest.mark.parametrize(("grace", "signals"), [(600.0, 2), (1.0, 1)])
def test_workers_that_take_too_long_are_ended(
    start_cluster: Start, tmp_path: Path, grace: float, signals: int
) -> None:
    pipe, end = tmp_path / "pipe", tmp_path / "end"
    os.mkfifo(pipe)
    os.mkfifo(end)
    with (
        start_cluster(tmp_path, workers=1, grace_seconds=grace) as cluster,
        DaskSimulationService(cluster.address, worker_group="cpu") as service,
    ):
        ref = cluster.push(cluster.write_bundle(MODEL))
        wait = {"pipe": str(pipe), "end": str(end), "runs": str(tmp_path / "runs")}
        service.submit("model:waits", wait, 1, bundle_ref=ref)
        worker = psutil.Process(int(pipe.read_text()))
        begun = time.monotonic()
        for number in range(signals):
            cluster.supervisor.send_signal(signal.SIGTERM)
            if number == 0:
                cluster.wait_for_log("retires")
        assert cluster.supervisor.wait(SECONDS) == 0
        assert time.monotonic() - begun < SECONDS
        cluster.assert_gone([worker])


def test_workers_are_called_as_their_supervisor_is_told(
    start_cluster: Start, tmp_path: Path
) -> None:
    with start_cluster(tmp_path, workers=2, worker_name="dask-workers-abc") as cluster:
        cluster.wait_for_log("worker dask-workers-abc-0 has registered")
        cluster.wait_for_log("worker dask-workers-abc-1 has registered")
