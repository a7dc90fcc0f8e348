"""Simulations whose processes take more memory than they may, faster than anybody looks."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psutil
import pytest

from conftest import has_ended
from integration.execution.cgroup_tree import CgroupTree, cgroup_tree, processes_in
from integration.execution.local_machine import SECONDS, LocalMachine, failed, values
from modelops.contracts import Execution, FailureReason, Isolation
from modelops.worker import memory_cgroup
from modelops.worker.answers import Answers
from modelops.worker.chunks import Chunk, Done, Function, decode_reply
from modelops.worker.model_worker import ModelWorker
from modelops.worker.run_watch import RunLimits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from modelops.contracts import SimReturn

pytestmark = pytest.mark.integration

MEMORY = 256 * 2**20
BAD = 4
SAID = f"together they had more bytes in memory than they may, {MEMORY:,}"

MODEL = f"""
import mmap
import os
import subprocess
import sys
import time
from pathlib import Path

IMPORTED = os.getpid()
LEFT_AT_IMPORT = 0
PART = {MEMORY} // 4

# What it has of its own is less than one process may have: the limit of one stops none of them.
TAKES = f"import time; x = bytes(bytearray({{PART}})); print(len(x), flush=True); time.sleep(600)"

# Nor does it stop what is shared.
FILLS = f"import mmap; whole = mmap.mmap(-1, {{8 * PART}}); whole.write(b'x' * {{PART}}); "
FILLS += f"[whole.write(b'x' * {{PART // 4}}) for _ in range(28)]"


def simulate(params, seed):
    return {{"pid": os.getpid(), "importer": IMPORTED, "seed": seed}}


def takes(size):
    memory = mmap.mmap(-1, size)
    for start in range(0, size, 4096):
        memory[start] = 1
    return memory


def starts_many(params, seed):
    if seed == {BAD}:
        print("about to start them", flush=True)
        started = [
            subprocess.Popen([sys.executable, "-c", TAKES], stdout=subprocess.PIPE)
            for _ in range(8)
        ]
        sizes = [int(process.stdout.readline()) for process in started]
    return simulate(params, seed)


def starts_one_and_goes_on(params, seed):
    if seed == {BAD}:
        print("about to start it", flush=True)
        pid = os.fork()
        if pid == 0:
            takes(8 * PART)
            os._exit(0)
        os.waitpid(pid, 0)
    return simulate(params, seed)


def waits_for_one_that_is_gone(params, seed):
    if seed == {BAD}:
        print("about to start it", flush=True)
        if os.fork() == 0:
            takes(8 * PART)
        time.sleep(600)
    return simulate(params, seed)


def raises_if_one_is_ended(params, seed):
    if seed == {BAD}:
        print("about to start it", flush=True)
        subprocess.run([sys.executable, "-c", FILLS], check=True)
    return simulate(params, seed)


def fills_a_file_in_memory(params, seed):
    if seed == {BAD}:
        print("about to fill it", flush=True)
        file = os.memfd_create("full")
        for _ in range(8):
            os.write(file, bytes(PART))
    return simulate(params, seed)


def shares(params, seed):
    if seed == {BAD}:
        print("about to take it", flush=True)
        takes(8 * PART)
    return simulate(params, seed)


def leaves_a_process(params, seed):
    left = subprocess.Popen(["sleep", "600"], start_new_session=True)
    return {{**simulate(params, seed), "left": left.pid, "left_at_import": LEFT_AT_IMPORT}}


def tells_and_hangs(params, seed):
    row = leaves_a_process(params, seed)
    Path(params["pipe"]).write_text(f"{{row['pid']}} {{row['left']}}")
    time.sleep(600)
"""

WORKER = """
import sys
from pathlib import Path

from modelops.bundles.access import RegistryAccess
from modelops.contracts import BundleRef
from modelops.services.process import ProcessSimulationService

registry, cache, ref, function, pipe = sys.argv[1:]
with ProcessSimulationService(
    1, registry=RegistryAccess(registry), cache_root=Path(cache), task_memory=2**28
) as service:
    future = service.submit(f"model:{function}", {"pipe": pipe}, 1, bundle_ref=BundleRef.parse(ref))
    assert future.result().failure is None
"""


@pytest.fixture
def tree(monkeypatch: pytest.MonkeyPatch) -> Iterator[CgroupTree]:
    """The cgroups of the children of this process."""
    with cgroup_tree() as tree:
        monkeypatch.setattr(memory_cgroup, "_usable_place", lambda: tree.place)
        yield tree


def run_with_a_bad_one(local: LocalMachine, isolation: Isolation, function: str) -> SimReturn:
    """Run some, of which one takes too much; return that one once the others are as they should."""
    ref = local.push(MODEL)
    with local.service(1, task_memory=MEMORY, execution=Execution(isolation)) as service:
        first = service.submit(f"model:{function}", {}, 0, bundle_ref=ref)
        values(first.result(SECONDS))
        futures = [
            service.submit(f"model:{function}", {}, seed, bundle_ref=ref) for seed in range(12)
        ]
        outcomes = [future.result(SECONDS) for future in futures]
    bad = outcomes.pop(BAD)
    assert [values(each)["seed"] for each in outcomes] == [s for s in range(12) if s != BAD]
    return bad


@pytest.mark.parametrize("isolation", list(Isolation))
@pytest.mark.parametrize(
    "function",
    [
        "starts_many",
        "starts_one_and_goes_on",
        "waits_for_one_that_is_gone",
        "fills_a_file_in_memory",
    ],
)
def test_what_nobody_sees_in_time_counts_too(
    local: LocalMachine, tree: CgroupTree, isolation: Isolation, function: str
) -> None:
    reason, message, details = failed(run_with_a_bad_one(local, isolation, function))

    assert (reason, SAID in message) == (FailureReason.MEMORY, True), message
    assert "about to" in details
    assert tree.children() == []


def test_a_copy_that_shares_too_much_memory_leaves_its_process_for_the_others(
    local: LocalMachine, tree: CgroupTree
) -> None:
    ref = local.push(MODEL)
    with local.service(1, task_memory=MEMORY, execution=Execution(Isolation.FORK)) as service:
        futures = [service.submit("model:shares", {}, seed, bundle_ref=ref) for seed in range(8)]
        outcomes = [future.result(SECONDS) for future in futures]

    reason, message, details = failed(outcomes.pop(BAD))
    assert (reason, SAID in message) == (FailureReason.MEMORY, True), message
    assert "about to" in details
    if tree.place.version == 1:
        # Version 2 ends the process with its copy.
        assert len({values(outcome)["importer"] for outcome in outcomes}) == 1


def test_what_a_model_says_of_a_process_that_was_ended_is_told(
    local: LocalMachine, tree: CgroupTree
) -> None:
    for isolation in (Isolation.WARM, Isolation.FORK):
        bad = run_with_a_bad_one(local, isolation, "raises_if_one_is_ended")

        reason, message, details = failed(bad)
        assert (reason, SAID in message) == (FailureReason.MEMORY, True), message
        # With version 2 the model is ended as well.
        assert tree.place.version == 2 or "died with <Signals.SIGKILL: 9>" in details


def test_nothing_that_a_model_started_outlives_its_child(
    local: LocalMachine, tree: CgroupTree
) -> None:
    # What an import started was there before the cgroup was.
    ref = local.push(MODEL + 'LEFT_AT_IMPORT = subprocess.Popen(["sleep", "600"]).pid\n')
    with local.service(1, task_memory=MEMORY) as service:
        future = service.submit("model:leaves_a_process", {}, 0, bundle_ref=ref)
        row = values(future.result(SECONDS))
        (cgroup,) = tree.children()
        assert {row["pid"], row["left"], row["left_at_import"]} <= set(processes_in(cgroup))

    assert has_ended(row["left"])
    assert has_ended(row["left_at_import"])
    assert tree.children() == []


def test_a_childs_limit_is_that_of_the_chunk(local: LocalMachine, tree: CgroupTree) -> None:
    worker = ModelWorker(1, cache_root=local.folder / "bundles", registry=local.registry)
    ref = local.push(MODEL)
    name = "memory.limit_in_bytes" if tree.place.version == 1 else "memory.max"

    def limit(memory: int | None) -> str:
        function = Function(ref, "model:simulate", limits=RunLimits(memory=memory))
        done = decode_reply(worker.run(Chunk(function, b"[[{}, 1]]", bytes(32), 1.0).encode()))
        assert isinstance(done, Done)
        values(Answers(done.answers).outcome(0, "0" * 64))
        return "".join((cgroup / name).read_text().strip() for cgroup in tree.children())

    try:
        limits = [limit(memory) for memory in (None, MEMORY, 2 * MEMORY, MEMORY // 2, None)]
    finally:
        worker.close()

    headroom = 64 * 2**20
    assert limits[0] == ""
    assert [int(text) - headroom for text in limits[1:4]] == [MEMORY, 2 * MEMORY, MEMORY // 2]
    assert limits[4] == "max" or int(limits[4]) > 2**60


def test_what_a_killed_worker_left_goes_with_the_next_one(local: LocalMachine) -> None:
    ref = local.push(MODEL)
    pipe = local.folder / "pipe"
    os.mkfifo(pipe)
    (local.folder / "worker.py").write_text(WORKER)

    @contextmanager
    def started(tree: CgroupTree, function: str) -> Iterator[subprocess.Popen[bytes]]:
        folders = (local.folder / "registry", local.folder / "bundles")
        given = (f"oci-layout://{folders[0]}", str(folders[1]), str(ref), function, str(pipe))
        script = str(local.folder / "worker.py")
        with subprocess.Popen(tree.enter_command([sys.executable, "-P", script, *given])) as worker:
            try:
                yield worker
            finally:
                worker.kill()

    with cgroup_tree() as tree, started(tree, "tells_and_hangs") as worker:
        child, left = map(int, pipe.read_text().split())
        process = psutil.Process(child)
        worker.kill()
        _, alive = psutil.wait_procs([process], timeout=SECONDS)
        assert alive == []
        # It leads a session of its own, so nothing has ended it.
        assert [processes_in(cgroup) for cgroup in tree.children()] == [[left]]

        with started(tree, "simulate") as other:
            assert other.wait(SECONDS) == 0
        assert has_ended(left)
        assert tree.children() == []
