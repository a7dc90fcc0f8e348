"""What is on the machine: looked at by process, port and file, not in what we wrote down.

A test's processes are known by a variable in their environment, whatever their folder and command;
and those that have no such variable, by the home in their command.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from conftest import command_of, has_ended, processes_below
from integration.conftest import MARK

if TYPE_CHECKING:
    from integration.conftest import Mops

SCHEDULER = "distributed.cli.dask_scheduler"
SUPERVISOR = "modelops.worker.supervisor"
WORKER = "distributed.cli.dask_worker"
RUNNER = "modelops.runner.main"
COMPONENTS = ("registry", "infra", "workspace", "adaptive")


def modules_running(mops: Mops) -> Counter[str]:
    """Count the Python modules that run as programs (`python -m`) for a home."""
    return Counter(
        name for process in processes_below(mops.home.resolve()) for name in _module(process)
    )


def pids_of(mops: Mops, module: str) -> list[int]:
    """Return the processes that run a module for a home."""
    return [
        process.pid
        for process in processes_below(mops.home.resolve())
        if module in _module(process)
    ]


def kill_all(mops: Mops) -> None:
    """Kill everything that works for a home, and what keepers start meanwhile; await their ends.

    One that is being killed has no command any more, but still its ports.
    """
    killed = []
    while running := [*processes_below(mops.home.resolve()), *_copies_of(mops)]:
        for process in running:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        killed += running
    while not all(has_ended(process) for process in killed):
        time.sleep(0.01)


def _copies_of(mops: Mops) -> list[psutil.Process]:
    """Return the children that run models: their commands don't say for whom."""
    return [
        process
        for process in processes_of(mops)
        if "modelops.worker.fork_server" in command_of(process) and not has_ended(process)
    ]


def processes_of(mops: Mops) -> list[psutil.Process]:
    """Return all that runs for a test: engines, plugins, and what they started."""
    found = {process.pid: process for process in processes_below(mops.home.resolve())}
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            if process.environ().get(MARK) == mops.environment[MARK]:
                found[process.pid] = process
    return list(found.values())


def state_of(mops: Mops, component: str) -> dict[str, Any]:
    """Return the engine's state of a stack as its file has it; of a run's, that of the only one.

    Secrets in it are encrypted. Empty if there is no such stack.
    """
    folder = mops.home / "pulumi" / ".pulumi" / "stacks" / f"modelops-{component}"
    for file in folder.glob(f"modelops-{component}-*.json"):
        with suppress(OSError, ValueError):  # the engine is at work on it
            return dict(json.loads(file.read_text())["checkpoint"].get("latest") or {})
    return {}


def resources_of(mops: Mops, component: str, kind: str = "") -> dict[str, dict[str, Any]]:
    """Return a stack's resources of this machine by name; on request only those of a kind."""
    return {
        item["urn"].rsplit("::", 1)[-1]: item.get("outputs", {})
        for item in state_of(mops, component).get("resources", [])
        if item["type"].startswith(f"modelops:index:{kind}")
    }


def pending(mops: Mops, component: str) -> dict[str, str]:
    """Return what the engine was at when its state was last written: resource → operation."""
    operations = state_of(mops, component).get("pending_operations", [])
    return {item["resource"]["urn"].rsplit("::", 1)[-1]: item["type"] for item in operations}


def assert_no_orphan(mops: Mops) -> None:
    """All that runs was started by something that runs, or is in a stack's state.

    Of a resource that an engine was at when it was killed, the state has the folder only, where
    `up` and `down` find who is in it. Workers take a moment to see that their scheduler has gone.
    """
    eventually(lambda: _orphans(mops) == [], what=lambda: f"orphans: {_orphans(mops)}")


def _orphans(mops: Mops) -> list[list[str]]:
    running = {process.pid: process for process in processes_of(mops)}
    pids, folders = set(), set()
    for component in COMPONENTS:
        at_work = pending(mops, component)
        for name, outputs in resources_of(mops, component, "Process").items():
            pids.add(int(outputs["pid"]))
            if name in at_work:
                folders.add(str(Path(outputs["directory"]).resolve()))
    found = []
    for process in running.values():
        with suppress(psutil.NoSuchProcess):
            is_known = process.pid in pids or process.cwd() in folders
            if process.ppid() not in running and not is_known:
                found.append(process.cmdline())
    return found


def assert_as_planned(mops: Mops) -> None:
    """Every part of the plan is in the state once, runs once, and no lock or note is left."""
    for stack in mops.json("plan")["stacks"]:
        component = stack["component"]
        items = state_of(mops, component)["resources"]
        there = Counter((i["type"], i["urn"].rsplit("::", 1)[-1]) for i in items)
        planned = {(part["type"], part["name"]) for part in stack["resources"]}
        assert planned <= set(there), f"forgotten: {planned - set(there)}"
        assert set(there.values()) == {1}, there
        assert {kind for kind in there if kind[0].startswith("modelops:local:")} == planned
        assert pending(mops, component) == {}
        for name, outputs in resources_of(mops, component, "Process").items():
            is_job = outputs["inputs"]["kind"] == "job"
            assert is_job or psutil.pid_exists(int(outputs["pid"])), f"{name} doesn't run"
    assert list((mops.home / "pulumi").rglob("locks/**/*.json*")) == []
    assert_no_orphan(mops)


def ports_of(mops: Mops) -> set[int]:
    """Return the ports that the stacks' processes were given."""
    return {
        int(port)
        for component in COMPONENTS
        for outputs in resources_of(mops, component, "Process").values()
        for port in outputs["ports"].values()
    }


def assert_up(mops: Mops, *, workers: int = 1) -> set[int]:
    """Everything is there once, the run has ended well, and another `up` finds nothing to do.

    Return the ports that are in use.
    """
    run_id = mops.json("up")["runs"][0]
    mops("adaptive", "status", "--watch", "--run-id", run_id)
    again = mops.json("up")
    assert all(set(stack["changes"]) == {"same"} for stack in again["stacks"]), again
    assert again["runs"] == [run_id]
    there = modules_running(mops)
    assert there[SCHEDULER] == 1, there
    assert there[SUPERVISOR] == 1, there
    assert there[RUNNER] == 0, there
    eventually(lambda: modules_running(mops)[WORKER] == workers)
    assert_as_planned(mops)
    return ports_of(mops)


def assert_nothing_left(mops: Mops, ports: Iterable[int] = ()) -> None:
    """No process of the test runs, nobody listens at the ports, home and TMPDIR have no file."""
    left = [(process.pid, command_of(process)) for process in processes_of(mops)]
    assert left == []
    assert [str(path) for path in mops.home.rglob("*")] == []
    assert [str(path) for path in Path(mops.environment["TMPDIR"]).rglob("*")] == []
    taken = _listening() & set(ports)
    assert not taken, f"somebody listens at {taken}"


def files_with(folder: Path, text: str) -> list[Path]:
    """Return the files below a folder that hold a text, but for those with secrets."""
    found = []
    for path in folder.resolve().rglob("*"):
        if path.is_file() and path.relative_to(folder.resolve()).parts[0] != "secrets":
            try:
                if text.encode() in path.read_bytes():
                    found.append(path)
            except FileNotFoundError:
                continue  # a server removes files while we look
    return found


def eventually(
    holds: object, seconds: float = 60, what: Callable[[], str] = lambda: "it never came true"
) -> None:
    """Look at the real thing until something holds; `what` says what is wrong if it doesn't."""
    assert callable(holds)
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, what()
        time.sleep(0.05)


def _listening() -> set[int]:
    """Return the ports that processes of no test listen at, or those whose test can't be known."""
    found = set()
    for connection in psutil.net_connections("tcp"):
        if connection.status == psutil.CONN_LISTEN:
            with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                # Another test may have got the port since.
                if connection.pid and MARK in psutil.Process(connection.pid).environ():
                    continue
            found.add(int(connection.laddr.port))
    return found


def _module(process: psutil.Process) -> list[str]:
    command = command_of(process)
    # `python [-P] -m module …`: not a launcher, whose command holds another's.
    return [command[i + 1] for i in (1, 2) if len(command) > i + 1 and command[i] == "-m"]
