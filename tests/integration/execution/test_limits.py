"""Simulations that take more than they may: each fails by itself, and its process goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psutil
import pytest

from integration.execution.local_machine import SECONDS, LocalMachine, failed, values
from modelops.contracts import FailureReason
from modelops.worker.model_log import MAX_LOG_BYTES

if TYPE_CHECKING:
    from modelops.contracts import SimReturn
    from modelops.services.process import ProcessSimulationService

pytestmark = pytest.mark.integration

MEMORY = 400 * 2**20
FILES = 64
BAD = 20

MODEL = f"""
import os
import time
from pathlib import Path

import numpy as np
import psutil

KEPT = []


def simulate(params, seed):
    return {{"pid": os.getpid(), "seed": seed}}


def is_bad(params, seed):
    if seed == {BAD}:
        Path(params["mark"]).write_text(str(os.getpid()))
    return seed == {BAD}


def grows(params, seed):
    if is_bad(params, seed):
        # Just over the limit, and below what the system stops by itself.
        while psutil.Process().memory_info().rss < {MEMORY} + 16 * 2**20:
            KEPT.append(np.ones(2**20))
        time.sleep(600)
    return simulate(params, seed)


def takes_all_at_once(params, seed):
    if is_bad(params, seed):
        KEPT.append(np.ones(2**37))
    return simulate(params, seed)


def keeps_what_it_got(params, seed):
    if is_bad(params, seed):
        while True:
            KEPT.append(np.empty(2**17))
    KEPT.append(np.empty(2**17))
    return simulate(params, seed)


def leaks_files(params, seed):
    if is_bad(params, seed):
        while True:
            KEPT.append(open(os.devnull))
    with open(os.devnull):
        return simulate(params, seed)


def leaks_one_file(params, seed):
    KEPT.append(open(os.devnull))
    return simulate(params, seed)


def leaks_some_memory(params, seed):
    KEPT.append(np.ones(2**20))
    return simulate(params, seed)


def chatters(params, seed):
    if is_bad(params, seed):
        for number in range(10**9):
            print(f"line {{number}} of many")
    return simulate(params, seed)


def hangs(params, seed):
    if is_bad(params, seed):
        print("a sign of life")
        time.sleep(600)
    return simulate(params, seed)
"""


def run_with_a_bad_one(
    service: ProcessSimulationService, local: LocalMachine, function: str
) -> SimReturn:
    """Run many, of which one breaks a limit; return that one once the others are as they should."""
    ref, mark = local.push(MODEL), local.folder / "mark"
    params = {"mark": str(mark)}
    # What one costs is known then, so that many of the others travel in a chunk with the bad one.
    first = service.submit(f"model:{function}", params, 0, bundle_ref=ref)
    assert values(first.result(SECONDS))["seed"] == 0
    futures = [
        service.submit(f"model:{function}", params, seed, bundle_ref=ref) for seed in range(40)
    ]
    outcomes = [future.result(SECONDS) for future in futures]
    bad = outcomes.pop(BAD)
    assert [values(each)["seed"] for each in outcomes] == [s for s in range(40) if s != BAD]

    ended = int(mark.read_text())
    again = service.submit("model:simulate", params, 1, bundle_ref=ref).result(SECONDS)
    assert values(again)["pid"] != ended
    assert not psutil.pid_exists(ended)
    return bad


@pytest.fixture(params=["in a cgroup", "watched"])
def _confinement(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each child in a cgroup, where this machine lets us; and as where it doesn't."""
    if request.param == "watched":
        monkeypatch.setattr("modelops.worker.memory_cgroup._usable_place", lambda: None)


@pytest.mark.usefixtures("_confinement")
@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("grows", f"bytes in memory, over {MEMORY:,}"),
        ("takes_all_at_once", "Unable to allocate 1.00 TiB"),
        ("keeps_what_it_got", "Unable to allocate 1.00 MiB"),
    ],
)
def test_a_simulation_may_have_so_much_memory(
    local: LocalMachine, function: str, said: str
) -> None:
    with local.service(task_memory=MEMORY) as service:
        reason, message, _ = failed(run_with_a_bad_one(service, local, function))

    assert reason is FailureReason.MEMORY
    assert said in message


def test_a_simulation_may_have_so_many_files_open(local: LocalMachine) -> None:
    with local.service(task_files=FILES) as service:
        reason, message, _ = failed(run_with_a_bad_one(service, local, "leaks_files"))

    assert reason is FailureReason.FILES
    assert "Too many open files" in message


def test_a_simulation_may_write_so_much(
    local: LocalMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modelops.worker.run_watch.MAX_WRITTEN_BYTES", 2**20)
    with local.service() as service:
        reason, message, details = failed(run_with_a_bad_one(service, local, "chatters"))

    assert reason is FailureReason.OUTPUT
    assert "more than 1,048,576 bytes" in message
    assert "line 0 of many" not in details
    assert len(details) <= MAX_LOG_BYTES + len("The model wrote:\n")
    # The last of it: a megabyte has more than 40,000 of these lines.
    last = max(int(line.split()[1]) for line in details.splitlines()[2:-1])
    assert last > 30_000


def test_what_a_simulation_wrote_before_it_was_stopped_is_told(local: LocalMachine) -> None:
    with local.service(task_timeout=0.3) as service:
        reason, message, details = failed(run_with_a_bad_one(service, local, "hangs"))

    assert (reason, message) == (FailureReason.TIMEOUT, "it took longer than 0.3 s")
    assert "a sign of life" in details


@pytest.mark.usefixtures("_confinement")
@pytest.mark.parametrize("function", ["leaks_one_file", "leaks_some_memory"])
def test_what_others_left_in_a_process_fails_no_simulation(
    local: LocalMachine, function: str
) -> None:
    ref = local.push(MODEL)
    with local.service(task_memory=MEMORY, task_files=FILES) as service:
        futures = [
            service.submit(f"model:{function}", {}, seed, bundle_ref=ref) for seed in range(200)
        ]
        pids = {values(future.result(SECONDS))["pid"] for future in futures}

    assert len(pids) > 2
