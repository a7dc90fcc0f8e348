"""The Process resource on real processes of this machine."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from conftest import processes_below
from modelops.core.errors import ProcessError
from modelops.providers.local.plugin import process
from modelops.providers.local.plugin.ending import end_process
from modelops.providers.local.plugin.identity import ProcessIdentity
from modelops.providers.local.plugin.ports import is_reachable

pytestmark = pytest.mark.integration

LISTEN = (
    "import socket, sys\n"
    "server = socket.create_server(('127.0.0.1', int(sys.argv[1])))\n"
    "while True:\n    server.accept()\n"
)
Start = Callable[..., dict[str, Any]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start processes in the test's folder; all are ended afterwards."""
    started: list[dict[str, Any]] = []

    def begin(
        code: str, *arguments: str, kept: dict[str, int] | None = None, **inputs: Any
    ) -> dict[str, Any]:
        given = {
            "command": [sys.executable, "-c", code, *arguments],
            "root": str(tmp_path / "processes"),
            "log": str(tmp_path / "log.txt"),
            **inputs,
        }
        state = process.start("urn:test", "example", given, kept or {})
        started.append(state)
        return state

    yield begin
    for state in started:
        process.end(state)


def has_ended(pid: int) -> bool:
    """Whether a process has ended; its parent may not have taken notice yet."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def listen(start: Start, **inputs: Any) -> dict[str, Any]:
    return start(
        LISTEN, "{port:web}", port_names=["web"], ready="port:web", ready_timeout=20, **inputs
    )


def test_a_service_is_reachable_when_start_returns(start: Start) -> None:
    state = listen(start)
    assert state["alive"]
    assert is_reachable(state["ports"]["web"])


def test_a_killed_service_is_found_dead_and_starts_again_at_its_port(start: Start) -> None:
    state = listen(start)
    psutil.Process(state["pid"]).kill()
    psutil.Process(state["pid"]).wait()
    dead = process.refreshed(state)
    assert not dead["alive"]
    assert process.changes(dead, dead["inputs"]) == ["alive"]
    healed = listen(start, kept=state["ports"])
    assert healed["ports"] == state["ports"]
    assert is_reachable(healed["ports"]["web"])


def test_starting_again_ends_a_process_that_nobody_knows_of(start: Start) -> None:
    forgotten = listen(start)
    again = listen(start)
    assert ProcessIdentity.from_state(forgotten).find() is None  # type: ignore[union-attr]
    assert process.refreshed(again)["alive"]


def test_a_process_is_found_behind_a_symbolic_link(start: Start, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    forgotten = listen(start, root=str(tmp_path / "link"))
    listen(start, root=str(tmp_path / "link"))
    assert has_ended(forgotten["pid"])


def test_a_kept_port_that_another_program_took_is_an_error(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as another:
        port = another.getsockname()[1]
        with pytest.raises(ProcessError, match=f"port {port} is taken"):
            listen(start, kept={"web": port})


def test_a_living_service_with_the_same_inputs_has_no_changes(start: Start) -> None:
    state = process.refreshed(listen(start))
    given = {key: value for key, value in state["inputs"].items() if key != "kind"}
    assert process.changes(state, given) == []
    assert process.changes(state, {**given, "env": {"A": "1"}}) == ["env"]


def test_what_a_process_started_ends_with_it(start: Start, tmp_path: Path) -> None:
    state = start(
        "import pathlib, subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "pathlib.Path(sys.argv[1]).write_text(str(child.pid))\n"
        "time.sleep(600)\n",
        "{ready}",
        ready="file",
    )
    child = int((Path(state["directory"]) / "ready").read_text())
    process.end(state)
    assert has_ended(child)
    assert not process.refreshed(state)["alive"]


def test_a_process_that_ignores_sigterm_ends_too(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "end_process", partial(end_process, grace=0.2))
    state = start(
        "import pathlib, signal, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "pathlib.Path(sys.argv[1]).touch()\n"
        "time.sleep(600)\n",
        "{ready}",
        ready="file",
    )
    process.end(state)
    assert not process.refreshed(state)["alive"]


@pytest.mark.parametrize("code", [0, 3])
def test_the_exit_of_a_job_is_recorded(start: Start, code: int) -> None:
    state = start(f"import sys; sys.exit({code})", kind="job")
    psutil.Process(state["pid"]).wait() if psutil.pid_exists(state["pid"]) else None
    ended = process.refreshed(state)
    assert ended["exit_code"] == code
    assert ended["alive"] is (code == 0)


def test_a_killed_job_is_not_finished(start: Start) -> None:
    state = start("import time; time.sleep(600)", kind="job")
    launcher = psutil.Process(state["pid"])
    launcher.kill()
    launcher.wait()
    ended = process.refreshed(state)
    assert ended["exit_code"] is None
    assert not ended["alive"]


def test_a_program_that_ends_before_it_is_ready_is_an_error_with_its_log(start: Start) -> None:
    with pytest.raises(ProcessError) as caught:
        start("import sys; sys.exit('no scheduler there')", ready="file")
    assert "exit code 1" in str(caught.value)
    assert "no scheduler there" in str(caught.value)


def test_what_a_program_left_behind_is_ended_when_it_fails(start: Start, tmp_path: Path) -> None:
    with pytest.raises(ProcessError, match="exit code 7"):
        start(
            "import pathlib, subprocess, sys\n"
            "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
            "pathlib.Path(sys.argv[1]).write_text(str(child.pid))\n"
            "sys.exit(7)\n",
            str(tmp_path / "child"),
            ready="port:web",
            port_names=["web"],
        )
    assert has_ended(int((tmp_path / "child").read_text()))


def test_a_program_that_never_gets_ready_is_ended(start: Start, tmp_path: Path) -> None:
    with pytest.raises(ProcessError, match="wasn't ready"):
        start("import time; time.sleep(600)", ready="file", ready_timeout=0.3)
    assert list((tmp_path / "processes").iterdir()) == []
    assert processes_below(tmp_path) == []


def test_a_program_that_isnt_there_is_an_error_that_names_it(start: Start) -> None:
    with pytest.raises(ProcessError, match="no-such-program"):
        start("", command=["/no-such-program"])


def test_a_process_gets_its_files_and_a_small_environment(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "secret")
    state = start(
        "import os, pathlib, sys\n"
        "pathlib.Path('seen').write_text(pathlib.Path('in.txt').read_text() + os.environ['GIVEN']"
        " + os.environ.get('PULUMI_CONFIG_PASSPHRASE', '-none'))\n"
        "pathlib.Path(sys.argv[1]).touch()\n",
        "{ready}",
        files={"in.txt": "text-"},
        env={"GIVEN": "{dir}"},
        kind="job",
        ready="file",
    )
    folder = Path(state["directory"])
    assert (folder / "seen").read_text() == f"text-{folder}-none"


def test_removing_a_process_leaves_its_log_only(start: Start, tmp_path: Path) -> None:
    state = listen(start)
    process.end(state)
    process.remove(state)
    assert [path.name for path in tmp_path.iterdir()] == ["log.txt"]


@pytest.mark.parametrize(
    ("inputs", "wrong"),
    [
        ({}, {"command", "root", "log"}),
        ({"command": [], "root": "", "log": "", "typo": 1}, {"typo"}),
        ({"command": [], "root": "", "log": "", "kind": "daemon"}, {"kind"}),
        ({"command": [], "root": "", "log": "", "ready": "port:web"}, {"ready"}),
    ],
)
def test_wrong_inputs_are_named(inputs: dict[str, Any], wrong: set[str]) -> None:
    assert process.problems(inputs).keys() == wrong


def test_a_pid_of_another_boot_or_start_is_another_process(start: Start) -> None:
    state = listen(start)
    identity = ProcessIdentity.from_state(state)
    assert identity is not None
    assert identity.find() is not None
    other_start = ProcessIdentity(identity.pid, identity.started - 100, identity.boot)
    assert other_start.find() is None
    assert ProcessIdentity(identity.pid, identity.started, "another boot").find() is None
