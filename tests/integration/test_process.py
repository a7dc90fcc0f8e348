"""The Process resource on real processes of this machine."""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from conftest import has_ended, processes_below
from integration.machine import eventually
from modelops.core.errors import ProcessError
from modelops.core.process_identity import ProcessIdentity
from modelops.providers.local.plugin import process, unfinished
from modelops.providers.local.plugin.ending import end_process
from modelops.providers.local.plugin.ports import PortTakenError, choose_ports, is_reachable

pytestmark = pytest.mark.integration

LISTEN = (
    "import socket, sys\n"
    "server = socket.create_server(('127.0.0.1', int(sys.argv[1])))\n"
    "while True:\n    server.accept()\n"
)
LISTEN_WHEN_TOLD = (
    "import pathlib, sys, time\n"
    "pathlib.Path(sys.argv[2] + '.there').touch()\n"
    "while not pathlib.Path(sys.argv[2]).exists():\n    time.sleep(0.02)\n"
) + LISTEN
CONNECT = "import socket, sys; socket.create_connection(('127.0.0.1', int(sys.argv[1])))"
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
        with pytest.raises(PortTakenError) as caught:
            listen(start, kept={"web": port})
    assert f"port {port} is taken by" in caught.value.message
    assert f"(process {os.getpid()})" in caught.value.message
    assert "chooses another port" in caught.value.hint


# Waits until the test has taken the port that was chosen for it.
LATE = (
    "import pathlib, socket, sys, time\n"
    "port, folder = int(sys.argv[1]), pathlib.Path(sys.argv[2])\n"
    "(folder / 'draft').write_text(str(port))\n"
    "(folder / 'draft').rename(folder / 'chosen')\n"
    "while not (folder / 'taken').exists():\n    time.sleep(0.01)\n"
)
BIND = "server = socket.create_server(('127.0.0.1', port))\n"
SERVE = "while True:\n    server.accept()\n"
STAY = f"try:\n    {BIND}except OSError:\n    time.sleep(600)\n"


@contextmanager
def stranger(folder: Path) -> Iterator[list[int]]:
    """Take the first port that is chosen, before the program that it was chosen for can."""
    taken: list[int] = []
    done = threading.Event()

    def take() -> None:
        while not (folder / "chosen").exists():
            if done.wait(0.01):
                return
        taken.append(int((folder / "chosen").read_text()))
        with socket.create_server(("127.0.0.1", taken[0])) as server:
            server.settimeout(0.05)
            (folder / "taken").touch()
            while not done.is_set():
                with suppress(TimeoutError):
                    server.accept()[0].close()

    thread = threading.Thread(target=take)
    thread.start()
    try:
        yield taken
    finally:
        done.set()
        thread.join()


@pytest.mark.parametrize("late", [LATE + BIND + SERVE, LATE + STAY + SERVE], ids=["ends", "stays"])
def test_a_new_port_that_is_lost_before_it_is_bound_is_chosen_anew(
    start: Start, tmp_path: Path, late: str
) -> None:
    with stranger(tmp_path) as taken:
        state = start(late, "{port:web}", str(tmp_path), port_names=["web"], ready="port:web")
    assert state["ports"]["web"] != taken[0]
    assert is_reachable(state["ports"]["web"])
    assert process.refreshed(state)["alive"]
    assert len(processes_below(tmp_path)) == 1


@pytest.mark.parametrize("ready", ["port:web", "command"])
def test_a_kept_port_that_is_lost_before_it_is_bound_is_an_error_that_names_the_holder(
    start: Start, tmp_path: Path, ready: str
) -> None:
    kept = choose_ports(["web"], {})
    asked = [sys.executable, "-c", CONNECT, "{port:web}"] if ready == "command" else []
    with stranger(tmp_path), pytest.raises(PortTakenError, match=rf"\(process {os.getpid()}\)"):
        start(
            LATE + STAY + SERVE,
            "{port:web}",
            str(tmp_path),
            port_names=["web"],
            ready=ready,
            ready_command=asked,
            kept=kept,
        )
    assert processes_below(tmp_path) == []


def test_a_listener_that_the_process_started_is_its_own(start: Start) -> None:
    below = (
        "import subprocess, sys\n"
        "subprocess.run([sys.executable, '-c', sys.argv[1], sys.argv[2]], start_new_session=True)\n"
    )
    state = start(below, LISTEN, "{port:web}", port_names=["web"], ready="port:web")
    assert is_reachable(state["ports"]["web"])


def test_a_command_says_when_it_is_ready(start: Start, tmp_path: Path) -> None:
    asked = "import os, pathlib, sys; sys.exit(not pathlib.Path(os.environ['MARK']).exists())"
    state = start(
        "import os, pathlib, time\npathlib.Path(os.environ['MARK']).touch()\ntime.sleep(600)\n",
        env={"MARK": "{dir}/mark"},
        ready="command",
        ready_command=[sys.executable, "-c", asked],
    )
    assert (Path(state["directory"]) / "mark").exists()
    assert process.changes(state, state["inputs"]) == []


def test_a_command_that_never_agrees_is_an_error_with_what_it_said(
    start: Start, tmp_path: Path
) -> None:
    with pytest.raises(ProcessError, match="said: not yet"):
        start(
            "import time; time.sleep(600)",
            ready="command",
            ready_command=[sys.executable, "-c", "import sys; sys.exit('not yet')"],
            ready_timeout=5,
        )
    assert processes_below(tmp_path) == []


def test_a_command_that_hangs_is_ended(start: Start, tmp_path: Path) -> None:
    with pytest.raises(ProcessError, match="said: nothing"):
        start(
            "import time; time.sleep(600)",
            ready="command",
            ready_command=[sys.executable, "-c", "import time; time.sleep(600)", str(tmp_path)],
            ready_timeout=0.5,
        )
    assert processes_below(tmp_path) == []


def test_what_starts_for_one_engine_goes_on_when_another_ends(tmp_path: Path) -> None:
    names = ("first", "second")
    states: dict[str, dict[str, Any]] = {}
    failures: dict[str, ProcessError] = {}

    def bring_up(name: str) -> None:
        inputs = {
            "command": [sys.executable, "-c", LISTEN_WHEN_TOLD, "{port:web}", str(tmp_path / name)],
            "root": str(tmp_path / "processes"),
            "log": str(tmp_path / f"{name}.log"),
            "port_names": ["web"],
            "ready": "port:web",
        }
        try:
            with unfinished.asked_by(name):
                states[name] = process.start(f"urn:{name}", name, inputs, {})
        except ProcessError as error:
            failures[name] = error

    threads = [threading.Thread(target=bring_up, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    try:
        eventually(lambda: all((tmp_path / f"{name}.there").exists() for name in names))
        with unfinished.asked_by("first"):
            unfinished.end_unfinished_of_engine()
        (tmp_path / "second").touch()
    finally:
        for thread in threads:
            thread.join()
        for state in states.values():
            process.end(state)
    assert set(failures) == {"first"}
    assert set(states) == {"second"}


@pytest.mark.parametrize("kind", ["service", "job"])
@pytest.mark.parametrize("name", ["TERM", "INT", "QUIT"])
def test_a_process_is_ended_by_the_signal_that_it_asks_for(
    start: Start, tmp_path: Path, name: str, kind: str
) -> None:
    state = start(
        "import pathlib, signal, sys, time\n"
        "def note(number, frame):\n"
        "    pathlib.Path(sys.argv[2]).write_text(signal.Signals(number).name)\n"
        "    sys.exit()\n"
        "for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):\n"
        "    signal.signal(number, note)\n"
        "pathlib.Path(sys.argv[1]).touch()\n"
        "while True:\n    time.sleep(1)\n",
        "{ready}",
        str(tmp_path / "got"),
        ready="file",
        stop_signal=name,
        kind=kind,
    )
    process.end(state)
    assert (tmp_path / "got").read_text() == f"SIG{name}"


def test_a_state_of_before_an_input_was_known_is_no_change(start: Start) -> None:
    state = listen(start)
    older = {key: value for key, value in state["inputs"].items() if key != "stop_signal"}
    assert process.changes({**state, "inputs": older}, state["inputs"]) == []


def test_a_living_service_with_the_same_inputs_has_no_changes(start: Start) -> None:
    state = process.refreshed(listen(start))
    given = {key: value for key, value in state["inputs"].items() if key != "kind"}
    assert process.changes(state, given) == []
    assert process.changes(state, {**given, "env": {"A": "1"}}) == ["env"]


def test_what_a_process_started_ends_with_it(start: Start, tmp_path: Path) -> None:
    state = start(
        "import pathlib, subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "draft = pathlib.Path(sys.argv[1] + '.new')\n"
        "draft.write_text(str(child.pid))\n"
        "draft.replace(sys.argv[1])\n"
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


def test_a_process_inherits_what_it_names_and_its_state_doesnt_hold_it(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://me:hidden@proxy")
    monkeypatch.setenv("UV_OFFLINE", "hidden too")
    monkeypatch.setenv("MY_UV_OFFLINE", "1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    state = start(
        "import json, os, pathlib, sys\n"
        "pathlib.Path('seen').write_text(json.dumps(dict(os.environ)))\n"
        "pathlib.Path(sys.argv[1]).touch()\n",
        "{ready}",
        inherit=["HTTPS_PROXY", "NO_PROXY", "UV_*"],
        kind="job",
        ready="file",
    )
    seen = json.loads((Path(state["directory"]) / "seen").read_text())
    assert seen["HTTPS_PROXY"] == "http://me:hidden@proxy"
    assert seen["UV_OFFLINE"] == "hidden too"
    assert not {"NO_PROXY", "MY_UV_OFFLINE"} & set(seen)
    assert "hidden" not in str(state)


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
        ({"command": [], "root": "", "log": "", "ready": "command"}, {"ready_command"}),
        ({"command": [], "root": "", "log": "", "ready_command": ["a"]}, {"ready_command"}),
        ({"command": [], "root": "", "log": "", "stop_signal": "KILL"}, {"stop_signal"}),
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
