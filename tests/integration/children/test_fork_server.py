"""Children that are copies of a server's."""

import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.integration.children.conftest import REF

from modelops.contracts import SimReturn, SimTask
from modelops.worker import fork_server_process
from modelops.worker.child_pool import ChildPool
from modelops.worker.child_process import ChildProcess
from modelops.worker.outputs import from_ipc

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(sys.platform != "linux", reason="there are descriptors of processes"),
]

MODEL = """
import os, random, signal
import numpy as np

def draws(params, seed):
    return {"numpy": float(np.random.random()), "python": random.random()}

def ends(params, seed):
    os._exit(7)

def is_killed(params, seed):
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    (tmp_path / "model.py").write_text(MODEL)
    return tmp_path


@pytest.fixture
def pool() -> Iterator[ChildPool]:
    pool = ChildPool(2)
    yield pool
    pool.close()


def task(function: str) -> SimTask:
    return SimTask(REF, f"model:{function}", {}, 1)


def row(outcome: SimReturn) -> dict[str, object]:
    assert outcome.failure is None
    (found,) = from_ipc(outcome.tables["output"]).to_pylist()
    return dict(found)


def test_copies_draw_numbers_of_their_own(pool: ChildPool, bundle: Path) -> None:
    with pool.child("a", bundle) as first, pool.child("a", bundle) as second:
        drawn = [row(child.simulate(task("draws"))) for child in (first, second)]
        parents = {psutil.Process(child.pid).ppid() for child in (first, second)}

    assert drawn[0]["numpy"] != drawn[1]["numpy"]
    assert drawn[0]["python"] != drawn[1]["python"]
    assert len(parents) == 1
    assert psutil.Process().pid not in parents


@pytest.mark.parametrize(
    ("function", "said"),
    [("ends", "it ended with exit status 7"), ("is_killed", "it was killed by SIGKILL")],
)
def test_how_a_copy_ended_is_told(pool: ChildPool, bundle: Path, function: str, said: str) -> None:
    with pool.child("a", bundle) as child:
        failure = child.simulate(task(function)).failure

    assert failure is not None
    assert said in failure.message


def test_what_has_ended_is_gone(bundle: Path) -> None:
    pool = ChildPool(1)
    with pool.child("a", bundle) as child:
        child.simulate(task("draws"))
        process = psutil.Process(child.pid)
        server = process.parent()
    assert server is not None
    pool.close()

    assert not process.is_running()
    assert not server.is_running()
    assert not psutil.pid_exists(process.pid)


def test_a_server_that_is_killed_costs_no_child(pool: ChildPool, bundle: Path) -> None:
    with pool.child("a", bundle) as child:
        child.simulate(task("draws"))
        process = psutil.Process(child.pid)
        server = process.parent()
        assert server is not None
        server.send_signal(signal.SIGKILL)
        psutil.wait_procs([server], timeout=30)

        assert row(child.simulate(task("draws")))
        assert child.pid == process.pid
        with pool.child("a", bundle) as other:
            assert row(other.simulate(task("draws")))
            assert other.pid != child.pid
    pool.close()

    psutil.wait_procs([process], timeout=30)
    assert not process.is_running()


def test_a_server_may_be_killed_while_it_starts_again(
    pool: ChildPool, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def start(*args: Any, **options: Any) -> subprocess.Popen[bytes]:
        started.append(popen(*args, **options))
        if len(started) < 3:
            started[-1].kill()
        return started[-1]

    with pool.child("a", bundle) as child:
        child.simulate(task("draws"))
        server = psutil.Process(child.pid).parent()
        assert server is not None
        server.kill()
        psutil.wait_procs([server], timeout=30)
        monkeypatch.setattr(fork_server_process.subprocess, "Popen", start)
        with pool.child("a", bundle) as other:
            assert row(other.simulate(task("draws")))

    assert len(started) == 3


class Slow:
    """A server whose copies aren't groups of their own yet."""

    def start(self, given: Sequence[int]) -> subprocess.Popen[bytes]:
        del given
        return subprocess.Popen(["sleep", "600"], stdin=subprocess.DEVNULL)


def test_a_copy_that_was_made_just_now_is_ended_too() -> None:
    server: Any = Slow()
    child = ChildProcess(server=server)
    assert child.kill() == -signal.SIGKILL
    child.close()
