"""A service with a keeper: it comes back by itself, and goes when it's told to."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from conftest import has_ended, processes_below
from modelops.core.errors import ProcessError
from modelops.providers.local.plugin import process
from modelops.providers.local.plugin.ports import is_reachable

pytestmark = pytest.mark.integration

# Notes the signal that it is told to end by; answers with its pid.
SERVICE = """\
import os, pathlib, signal, socket, sys
def end(number, frame):
    pathlib.Path(sys.argv[2]).write_text(signal.Signals(number).name)
    sys.exit()
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
    signal.signal(number, end)
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    with server.accept()[0] as connection:
        connection.sendall(str(os.getpid()).encode())
"""
Start = Callable[..., dict[str, Any]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start services with a keeper in the test's folder; all are ended afterwards."""
    started: list[dict[str, Any]] = []

    def begin(code: str = SERVICE, **inputs: Any) -> dict[str, Any]:
        given = {
            "command": [sys.executable, "-c", code, "{port:web}", str(tmp_path / "told")],
            "root": str(tmp_path / "processes"),
            "log": str(tmp_path / "log.txt"),
            "port_names": ["web"],
            "ready": "port:web",
            "restart": True,
            **inputs,
        }
        kept = started[-1]["ports"] if started else {}
        started.append(process.start("urn:test", "example", given, kept))
        return started[-1]

    yield begin
    for state in started:
        process.end(state)


def program_of(state: dict[str, Any]) -> psutil.Process:
    """Return the program that a keeper keeps, once it listens."""
    deadline = time.monotonic() + 40
    while time.monotonic() < deadline:
        if is_reachable(state["ports"]["web"]):
            children: list[psutil.Process] = psutil.Process(state["pid"]).children()
            return children[0]
        time.sleep(0.02)
    raise AssertionError("it isn't there")


def test_a_killed_program_is_started_again_at_its_port(start: Start) -> None:
    state = start()
    for _ in range(3):
        program = program_of(state)
        program.kill()
        psutil.wait_procs([program], timeout=40)
    assert program_of(state).is_running()
    assert process.changes(process.refreshed(state), state["inputs"]) == []
    log = Path(state["log"]).read_text()
    # A program that lives for a moment only isn't started in a tight circle.
    assert [f"again in {delay} s" in log for delay in ("0.25", "0.5", "1")] == [True] * 3


@pytest.mark.parametrize("name", ["TERM", "INT", "QUIT"])
def test_the_program_is_told_to_end_and_stays_so(start: Start, tmp_path: Path, name: str) -> None:
    state = start(stop_signal=name)
    process.end(state)
    assert (tmp_path / "told").read_text() == f"SIG{name}"
    assert processes_below(tmp_path) == []


def test_it_can_be_ended_while_it_waits_to_start_again(start: Start, tmp_path: Path) -> None:
    # A second start fails at once, so that the keeper waits longer each time.
    code = SERVICE.replace("while True:", "once = open(sys.argv[2] + '-once', 'x')\nwhile True:")
    state = start(code)
    program_of(state).kill()
    deadline = time.monotonic() + 40
    while "again in 4 s" not in Path(state["log"]).read_text():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    keeper = psutil.Process(state["pid"])
    keeper.terminate()
    keeper.wait(40)
    assert processes_below(tmp_path) == []


def test_a_program_outlives_its_keeper_until_it_is_healed(start: Start) -> None:
    state = start()
    program, keeper = program_of(state), psutil.Process(state["pid"])
    keeper.kill()
    keeper.wait()
    assert is_reachable(state["ports"]["web"])
    assert process.changes(state, state["inputs"]) == ["alive"]
    healed = start()
    assert healed["ports"] == state["ports"]
    assert program_of(healed) != program
    psutil.wait_procs([program], timeout=40)
    assert has_ended(program)


def test_a_program_that_never_gets_ready_is_an_error_at_once(start: Start, tmp_path: Path) -> None:
    with pytest.raises(ProcessError, match="exit code 7 before it was ready"):
        start("import sys; sys.exit(7)")
    assert processes_below(tmp_path) == []


def test_a_program_is_found_by_its_command_line_alone(start: Start) -> None:
    state = start()
    assert SERVICE in program_of(state).cmdline()
    assert SERVICE not in psutil.Process(state["pid"]).cmdline()


def test_a_job_has_no_keeper() -> None:
    inputs = {"command": ["true"], "root": "/r", "log": "/l", "kind": "job", "restart": True}
    assert "restart" in process.problems(inputs)


def test_a_keeper_ends_with_its_program_when_it_is_told_to(start: Start) -> None:
    state = start()
    keeper = psutil.Process(state["pid"])
    keeper.send_signal(signal.SIGTERM)
    assert keeper.wait(40) == 0
    assert not process.refreshed(state)["alive"]
