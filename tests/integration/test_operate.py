"""Looking after an environment that is up: health, logs and secrets."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from conftest import command_of, processes_below
from integration.machine import eventually
from integration.registry_process import RegistryProcess, oci_registry_fixture
from modelops.providers.local.plugin import process
from modelops.providers.local.plugin.launch import MAX_LOG_BYTES
from modelops.services.dask_health import workers_of

if TYPE_CHECKING:
    from integration.conftest import Mops

__all__ = ["oci_registry_fixture"]

# Each call of mops is an engine operation or more, a second or two each on an idle machine.
pytestmark = [pytest.mark.integration, pytest.mark.e2e, pytest.mark.timeout(300)]

ENDLESS = """\
import time


def simulate(params, seed):
    time.sleep(600)
"""
SECRET = "correct-horse-battery"


def parts_of(mops: Mops, expect: int = 0) -> dict[str, dict[str, Any]]:
    found = mops.json("status", "--exit-code", "--timeout", "20", expect=expect)
    return {part["part"]: part for stack in found["stacks"] for part in stack["parts"]}


def processes(mops: Mops, word: str) -> list[psutil.Process]:
    """The environment's processes whose command has that word."""
    below = processes_below(mops.home.resolve())
    return [found for found in below if any(word in part for part in command_of(found))]


def keeper_of(found: psutil.Process) -> psutil.Process:
    """What starts a service again, and is itself started again by nobody."""
    keeper = found.parent()
    assert keeper is not None
    assert any(part.endswith("keeper.py") for part in command_of(keeper))
    return keeper


@contextmanager
def stopped(found: psutil.Process) -> Iterator[None]:
    found.suspend()
    try:
        yield
    finally:
        found.resume()


def bring_up(mops: Mops) -> None:
    for stack in ("registry", "infra", "workspace"):
        mops(stack, "up")


def test_every_part_is_told_of_and_named_when_it_isnt_well(mops: Mops) -> None:
    mops.write_spec(workers=2)
    mops("registry", "up")
    # A stack that was never brought up is no illness.
    done = mops("status", "--exit-code")
    assert "mops infra up" in done.stdout
    assert [stack["up"] for stack in mops.json("status")["stacks"]] == [True, False, False]
    mops("infra", "status", expect=4)

    mops("infra", "up")
    mops("workspace", "up")
    parts = parts_of(mops)
    assert list(parts) == [
        "bundles",
        "objects-results",
        "database-journal",
        "dask-scheduler",
        "workers-default",
    ]
    assert all(part["healthy"] and part["state"] == "healthy" for part in parts.values())
    assert parts["workers-default"]["detail"] == "2 of 2 workers"
    assert parts["dask-scheduler"]["address"].startswith("t")
    assert parts["dask-scheduler"]["since"] is not None

    (supervisor,) = processes(mops, "modelops.worker.supervisor")
    workers = processes(mops, "dask_worker")
    with stopped(supervisor):
        # Nobody starts it again meanwhile.
        workers[0].kill()
        eventually(lambda: "stopped" in parts_of(mops, 3)["workers-default"]["reason"])
    eventually(lambda: len(processes(mops, "dask_worker")) == 2)
    keeper = keeper_of(supervisor)
    keeper.kill()
    parts = parts_of(mops, 3)
    assert parts["workers-default"]["state"] == "dead"
    assert str(keeper.pid) in parts["workers-default"]["reason"]
    assert parts["dask-scheduler"]["healthy"]
    mops("workspace", "refresh", "--exit-code", expect=3)
    mops("workspace", "preview", "--exit-code", expect=3)
    mops("workspace", "up")
    assert parts_of(mops)["workers-default"]["detail"] == "2 of 2 workers"
    mops("workspace", "refresh", "--exit-code")
    mops("workspace", "preview", "--exit-code")
    # The stacks that are up need nothing; that of the run would be made.
    mops("plan", "--preview", "--exit-code", expect=3)

    # A scheduler that hangs holds up nobody.
    (scheduler,) = processes(mops, "dask_scheduler")
    with stopped(scheduler):
        parts = parts_of(mops, 3)
        assert "stopped" in parts["dask-scheduler"]["reason"]
        assert "scheduler" in parts["workers-default"]["reason"]
        assert parts["database-journal"]["healthy"]
        found = mops.json("workspace", "status")
        assert [part["healthy"] for part in found["parts"]] == [False, False]
        assert str(scheduler.pid) in parts["dask-scheduler"]["reason"]
    keeper_of(scheduler).kill()
    assert parts_of(mops, 3)["dask-scheduler"]["state"] == "dead"
    assert "mops workspace up" in mops("status").stderr


def test_a_store_that_is_gone_or_broken_is_told_of(mops: Mops) -> None:
    mops("registry", "up")
    mops("infra", "up")
    journal = mops.home / "local/dev/databases/journal/journal.sqlite"
    journal.write_text("this is no database " * 100)
    store = mops.home / "local/dev/objects/results"
    store.rename(store.with_name("elsewhere"))
    parts = parts_of(mops, 3)
    assert parts["objects-results"]["state"] == "gone"
    assert parts["database-journal"]["state"] == "unhealthy"
    mops("infra", "refresh", "--exit-code", expect=3)
    assert "not a database" in parts["database-journal"]["reason"]
    done = mops("infra", "status")
    assert "mops infra up" in done.stderr
    assert "not a database" in done.stdout
    journal.unlink()
    mops("infra", "up")
    assert all(part["healthy"] for part in parts_of(mops).values())


def check_logs(mops: Mops, run_id: str) -> None:
    """Check that the logs of all parts can be read."""
    assert mops.json("logs", "--list") == [
        {"part": "dask-scheduler", "stack": "workspace"},
        {"part": "workers-default", "stack": "workspace"},
        {"part": f"run-{run_id}", "stack": "adaptive"},
    ]
    lines = mops("logs").stdout.splitlines()
    assert {line.split(" | ")[0].strip() for line in lines} == {
        "dask-scheduler",
        "workers-default",
        f"run-{run_id}",
    }
    own = mops("logs", f"run-{run_id}").stdout
    assert f"run_id={run_id}" in own
    assert mops("logs", run_id).stdout == own == mops("adaptive", "logs").stdout
    assert mops("workspace", "logs", "dask-scheduler", "--tail", "2").stdout.count("\n") == 2
    assert run_id not in mops("registry", "logs", expect=4).stdout
    assert "dask-scheduler" in mops("logs", "dask-schedular", expect=4).stderr
    first = json.loads(mops("logs", "--json").stdout.splitlines()[0])
    assert first.keys() == {"part", "line"}


def test_a_run_is_told_of_with_its_logs_and_when_its_runner_has_died(mops: Mops) -> None:
    mops("logs", expect=4)
    # However slow the machine is, the run is still going on when it is looked at.
    mops.write_model(ENDLESS)
    run_id = mops("up").stdout.strip()
    check_logs(mops, run_id)
    run = mops.json("status", "--exit-code")["runs"][0]
    assert (run["state"], run["runner"]["healthy"]) == ("running", True)
    for found in processes(mops, "modelops.runner.main"):
        # The runner ends by itself when its launcher is gone.
        with suppress(psutil.NoSuchProcess):
            found.kill()
    eventually(lambda: not processes(mops, "modelops.runner.main"))
    run = mops.json("status", "--exit-code", expect=3)["runs"][0]
    assert (run["state"], run["runner"]["state"]) == ("interrupted", "dead")
    assert run_id in mops("status").stdout
    mops("adaptive", "down", "--run-id", "another", expect=4)
    mops("adaptive", "down")
    mops("adaptive", "down", expect=4)
    assert mops.json("status", "--exit-code")["runs"][0]["runner"] is None
    assert "interrupted" in mops("adaptive", "list").stdout
    assert mops("adaptive", "up", "--run-id", "Not a label", expect=2).stdout == ""


def test_a_registry_elsewhere_is_asked(mops: Mops, oci_registry: RegistryProcess) -> None:
    spec = (mops.folder / "runtime.yaml").read_text()
    external = (
        f"  registry: {{class: external, managed: false, url: 'oci://{oci_registry.host}'}}\n"
    )
    (mops.folder / "runtime.yaml").write_text(spec.replace("spec:\n", f"spec:\n{external}"))
    mops("registry", "up")
    (part,) = mops.json("registry", "status", "--exit-code")["parts"]
    assert (part["healthy"], part["address"]) == (True, f"oci://{oci_registry.host}")
    psutil.Process(oci_registry.pid).kill()
    (part,) = mops.json("registry", "status", "--exit-code", expect=3)["parts"]
    assert part["state"] == "unhealthy"
    assert oci_registry.host in part["reason"]


def test_a_scheduler_that_says_nothing_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, pytest.raises(TimeoutError):
        workers_of(f"tcp://127.0.0.1:{server.getsockname()[1]}", 0.5)


@pytest.mark.parametrize("answer", [b"HTTP/1.1 200 OK\r\n\r\nhello", b"\x00" * 64])
def test_what_isnt_a_scheduler_is_told_from_one(answer: bytes) -> None:
    def serve() -> None:
        with server.accept()[0] as connection:
            connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(OSError, match="isn't a Dask scheduler"):
            workers_of(f"tcp://127.0.0.1:{server.getsockname()[1]}", 10)
        thread.join()


def test_a_follower_sees_what_comes_and_ends_quietly(mops: Mops) -> None:
    bring_up(mops)
    log = mops.home / "local/dev/logs/dask-scheduler.log"
    follower = subprocess.Popen(
        [str(Path(sys.executable).with_name("mops")), "logs", "--follow", "--tail", "0"],
        cwd=mops.folder,
        env=mops.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with follower:
        assert follower.stdout is not None
        assert follower.stderr is not None
        stop = threading.Event()

        def write() -> None:
            # It can't be told when the follower has begun: a line is written until one is seen.
            while not stop.wait(0.1):
                with log.open("a") as file:
                    file.write("a line that comes later\n")

        writer = threading.Thread(target=write)
        writer.start()
        try:
            # Others write too, whenever they like.
            lines = iter(follower.stdout.readline, "")
            assert any(line.endswith(" | a line that comes later\n") for line in lines)
        finally:
            stop.set()
            writer.join()
        (log.parent / "run-later.log").write_text("a part that comes later\n")
        for line in follower.stdout:
            if line == "run-later       | a part that comes later\n":
                break
        follower.send_signal(signal.SIGINT)
        assert follower.wait(timeout=30) == 130
        assert follower.stderr.read() == ""


def test_a_secret_is_nowhere_but_in_its_file(mops: Mops) -> None:
    mops.write_model(ENDLESS)
    shown = []

    def secrets(*arguments: str, stdin: str = "") -> None:
        done = subprocess.run(
            [str(Path(sys.executable).with_name("mops")), "secrets", *arguments, "--debug"],
            cwd=mops.folder,
            env=mops.environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        shown.extend([done.stdout, done.stderr])

    secrets("set", "TOKEN", stdin=SECRET)
    mops("up")
    secrets("update", "TOKEN", stdin=f"{SECRET}-again\n")
    secrets("list")
    for command in (["status"], ["workspace", "status"], ["logs"], ["plan"]):
        done = mops(*command, "--json")
        shown += [done.stdout, done.stderr]
    assert not any(SECRET in text for text in shown)

    file = mops.home / "secrets/dev/TOKEN"
    assert file.read_text() == f"{SECRET}-again"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    holding = [
        path
        for folder, _, names in os.walk(mops.home)
        for path in (Path(folder) / name for name in names)
        if path.is_file() and SECRET.encode() in path.read_bytes()
    ]
    assert [path.resolve() for path in holding] == [file.resolve()]
    running = processes_below(mops.home.resolve())
    assert running
    assert not any(SECRET in " ".join(command_of(found)) for found in running)
    for found in running:
        with suppress(psutil.NoSuchProcess):
            assert SECRET not in str(found.environ())
            told = found.environ().get("MODELOPS_SECRETS_DIR")
            if "modelops.worker.supervisor" in command_of(found):
                assert told == str(file.parent)
    # What a user set outlives the stacks.
    mops("down", "--delete-data", "--yes")
    assert file.read_text() == f"{SECRET}-again"


def test_a_log_that_has_grown_large_is_put_aside_at_the_next_start(tmp_path: Path) -> None:
    log = tmp_path / "part.log"
    log.write_bytes(b"old\n" * (MAX_LOG_BYTES // 4 + 1))
    given = {
        "command": [sys.executable, "-c", "print('new', flush=True)"],
        "root": str(tmp_path / "processes"),
        "log": str(log),
        "kind": "job",
    }
    state: dict[str, Any] = {}
    for _ in range(2):
        state = process.make("urn:test", "part", given, state)
        eventually(lambda state=state: process.refreshed(state)["exit_code"] == 0)
    process.end(state)
    assert log.read_text() == "new\nnew\n"
    assert (tmp_path / "part.log.1").stat().st_size > MAX_LOG_BYTES
