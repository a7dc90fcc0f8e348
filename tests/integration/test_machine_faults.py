"""A full disk, folders that can't be written, a reboot, a taken port; each on a real machine.

The mounts are in a namespace of the test's own, which needs root.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from conftest import has_ended
from integration.machine import (
    SCHEDULER,
    assert_no_orphan,
    assert_nothing_left,
    eventually,
    kill_all,
    modules_running,
    pids_of,
)
from integration.moments import Moment, When, await_moment, plugin_of, starting
from integration.test_engine_faults import told
from modelops.infra.locks import LockHolder

if TYPE_CHECKING:
    from integration.conftest import Mops

pytestmark = [pytest.mark.integration, pytest.mark.e2e, pytest.mark.timeout(180)]

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounts in a namespace need root")
BOOT_ID = "/proc/sys/kernel/random/boot_id"


# It ends when its input closes, and takes notice of the ends of those that it adopts.
KEEP = """\
import signal, sys
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
print("ready", flush=True)
sys.stdin.read()
"""


@contextmanager
def mounts(mops: Mops, *, network: bool = True, pids: bool = False) -> Iterator[Mops]:
    """Give the command line in a mount namespace of its own.

    On request also without a network, or with pids of its own.
    """
    kinds = ["mount", *([] if network else ["net"]), *(["pid"] if pids else [])]
    own = [f"--{kind}" for kind in kinds]
    keeper = subprocess.Popen(
        [
            *("unshare", *own, *(["--fork", "--mount-proc"] if pids else [])),
            *(sys.executable, "-c", KEEP),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with keeper:
        assert keeper.stdout is not None
        assert keeper.stdin is not None
        try:
            assert keeper.stdout.readline() == "ready\n"
            first = psutil.Process(keeper.pid).children()[0].pid if pids else keeper.pid
            folder = f"--wdns={mops.folder}"
            yield mops.under("nsenter", "--target", str(first), *own, folder)
        finally:
            keeper.stdin.close()
            keeper.wait()


def run_in(mops: Mops, *command: str) -> None:
    subprocess.run([*mops.prefix, *command], check=True)


@needs_root
def test_a_full_disk_stops_at_once_and_costs_nothing(mops: Mops) -> None:
    with mounts(mops) as inside:
        small_disk(inside)
        inside("registry", "up")
        inside("infra", "up")
        filler = fill_disk(inside)
        refused = inside("workspace", "up", expect=1)
        assert "is full" in refused.stderr
        assert "MODELOPS_HOME" in refused.stderr
        assert "is full" in inside("status", expect=1).stderr
        run_in(inside, "rm", filler)
        # Now it's filled while a process starts.
        up = inside.start("workspace", "up")
        await_in(inside, up, "create dask-scheduler")
        filler = fill_disk(inside)
        output, _ = up.communicate(timeout=100)
        assert up.returncode == 1, output
        assert "Traceback" not in output
        assert f"The disk of {mops.home} is full." in output
        assert "Free some space on the disk" in output
        run_in(inside, "rm", filler)
        inside("workspace", "up")
        assert set(inside.json("workspace", "up")["changes"]) == {"same"}
        assert modules_running(mops)[SCHEDULER] == 1
        inside("down", "--delete-data", "--yes")


def small_disk(inside: Mops) -> None:
    """Give the home a disk of its own: with room for what a command needs free, many times over."""
    home = str(inside.home.resolve())
    run_in(inside, "mount", "-t", "tmpfs", "-o", "size=96m", "tmpfs", home)


def fill_disk(inside: Mops) -> str:
    """Leave no byte on the home's disk; return what fills it."""
    filler = str(inside.home / "filler")
    run_in(inside, "sh", "-c", f"head -c 200m /dev/zero > '{filler}' 2>/dev/null || true")
    return filler


def await_in(mops: Mops, command: subprocess.Popen[str], words: str) -> None:
    """Wait until a command has said something."""
    assert command.stdout is not None
    lines = []
    while not any(words in line for line in lines):
        lines.append(command.stdout.readline())
        assert lines[-1], f"{mops.prefix}: it ended without a word of it: {lines}"


@pytest.mark.parametrize("broken", ["lock", "state"])
def test_files_that_a_full_disk_cut_off_are_mended(mops: Mops, broken: str) -> None:
    mops("registry", "up")
    mops("infra", "up")
    backend = mops.home / "pulumi" / ".pulumi"
    if broken == "lock":
        folder = backend / "locks/organization/modelops-infra/modelops-infra-dev"
        (folder / "0b6d.json.18ea.tmp").touch()
    else:
        state = backend / "stacks/modelops-infra/modelops-infra-dev.json"
        state.write_text(state.read_text()[:1000])
    again = mops("infra", "up")
    assert "cut off" in again.stderr
    assert set(mops.json("infra", "up")["changes"]) == {"same"}
    mops("down", "--delete-data", "--yes")
    assert_nothing_left(mops)


@needs_root
def test_a_home_that_cant_be_written_is_named(mops: Mops) -> None:
    with mounts(mops) as inside:
        home = str(mops.home.resolve())
        run_in(inside, "mount", "--bind", home, home)
        run_in(inside, "mount", "-o", "remount,bind,ro", home)
        refused = inside("registry", "up", expect=1)
        assert "MODELOPS_HOME" in refused.stderr
        run_in(inside, "mount", "-o", "remount,bind,rw", home)
        inside("registry", "up")
        inside("down", "--delete-data", "--yes")


@needs_root
def test_the_users_home_may_be_read_only(mops: Mops, tmp_path: Path) -> None:
    users = tmp_path / "users home"
    users.mkdir()
    with mounts(mops) as inside:
        run_in(inside, "mount", "--bind", str(users), str(users))
        run_in(inside, "mount", "-o", "remount,bind,ro", str(users))
        elsewhere = inside.with_environment(HOME=str(users), MODELOPS_TOOLS=_tools())
        run_id = elsewhere.json("up")["runs"][0]
        elsewhere("adaptive", "status", "--watch", "--run-id", run_id)
        elsewhere("down", "--delete-data", "--yes")
        assert_nothing_left(elsewhere)
        assert list(users.iterdir()) == []
        without = elsewhere.with_environment(MODELOPS_HOME=None)
        refused = without("registry", "up", expect=1)
        assert str(users / ".modelops") in refused.stderr


@needs_root
def test_a_data_folder_that_cant_be_written_is_named(mops: Mops) -> None:
    mops("registry", "up")
    folder = mops.home.resolve() / "local" / "dev"
    with mounts(mops) as inside:
        run_in(inside, "mount", "--bind", str(folder), str(folder))
        run_in(inside, "mount", "-o", "remount,bind,ro", str(folder))
        refused = inside("infra", "up", expect=1)
        assert f"{mops.home / 'local' / 'dev'}/" in refused.stderr
        assert "Set MODELOPS_HOME to a folder that you may write" in refused.stderr
        assert "Traceback" not in refused.stderr
    mops("infra", "up")
    assert set(mops.json("infra", "up")["changes"]) == {"same"}


@needs_root
def test_a_reboot_brings_other_programs_under_the_old_pids(mops: Mops, tmp_path: Path) -> None:
    boot_id = tmp_path / "boot_id"
    boot_id.write_text("11111111-before\n")
    # With pids of its own, since another test could get the one that is to come back.
    with mounts(mops, pids=True) as inside:
        run_in(inside, "mount", "--bind", str(boot_id), BOOT_ID)
        for stack in ("registry", "infra", "workspace"):
            inside(stack, "up")
        before = inside.json("workspace", "outputs")
        pid = int(inside.json("workspace", "status")["resources"]["dask-scheduler"]["pid"])
        kill_all(mops)
        boot_id.write_text("22222222-after\n")
        with _another_program_at(inside, pid) as other:
            assert inside.json("workspace", "up")["changes"]["update"] >= 1
            assert other.is_running()
            assert inside.json("workspace", "outputs") == before
            assert modules_running(mops)[SCHEDULER] == 1
            inside("down", "--delete-data", "--yes")
            assert other.is_running()
    assert_nothing_left(mops)


def test_a_lock_is_not_another_engines_that_has_the_pid_of_the_one_that_died(
    tmp_path: Path,
) -> None:
    engine = tmp_path / "pulumi"
    engine.write_bytes(Path(shutil.which("sleep") or "").resolve().read_bytes())
    engine.chmod(0o755)
    with subprocess.Popen([engine, "300"]) as living:
        try:
            eventually(lambda: psutil.Process(living.pid).name() == "pulumi")
            now, before = datetime.now(UTC), datetime.now(UTC) - timedelta(hours=1)
            host = socket.gethostname()
            made = [
                LockHolder("ada", host, living.pid, f"{when:%Y-%m-%dT%H:%M:%SZ}")
                for when in (now, before)
            ]
            assert [holder.is_gone for holder in made] == [False, True]
        finally:
            living.kill()


def test_the_stacks_may_be_kept_elsewhere(mops: Mops, tmp_path: Path) -> None:
    backend = tmp_path / "elsewhere"
    backend.mkdir()
    there = mops.with_environment(
        PULUMI_BACKEND_URL=backend.as_uri(), PULUMI_HOME=str(tmp_path / "pulumi-home")
    )
    there("registry", "up")
    there("infra", "up")
    assert set(there.json("infra", "up")["changes"]) == {"same"}
    assert not (mops.home / "pulumi").exists()
    mops("registry", "status", expect=4)
    there("down", "--delete-data", "--yes")
    assert [path for path in backend.rglob("modelops-infra-dev.json") if path.is_file()] == []


def test_a_kept_port_that_another_program_took_is_named(mops: Mops) -> None:
    for stack in ("registry", "infra", "workspace"):
        mops(stack, "up")
    status = mops.json("workspace", "status")["resources"]["dask-scheduler"]
    port = int(status["ports"]["scheduler"])
    kill_all(mops)
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", port))
        taken.listen()
        refused = mops("workspace", "up", expect=1)
        assert str(port) in refused.stderr
        assert str(os.getpid()) in refused.stderr
    mops("workspace", "up")
    assert set(mops.json("workspace", "up")["changes"]) == {"same"}


def test_a_plugin_that_was_killed_leaves_nothing_in_the_way(mops: Mops) -> None:
    mops("registry", "up")
    mops("infra", "up")
    up = mops.start("workspace", "up")
    await_moment(mops, up, Moment("up", "workspace", When.PROCESS))
    found: list[psutil.Process] = []
    # The engine may be writing its state anew when it's looked at.
    eventually(lambda: found.extend(starting(mops, up, "workspace")) or found)
    half_made = found[0]
    plugin_of(up).kill()
    output = told(up)
    assert up.returncode == 1, output
    assert "modelops-workspace-dev couldn't be brought up" in output
    assert "Run the command again" in output
    assert_no_orphan(mops)
    mops("workspace", "up")
    assert has_ended(half_made)
    assert set(mops.json("workspace", "up")["changes"]) == {"same"}
    assert len(pids_of(mops, SCHEDULER)) == 1
    assert_no_orphan(mops)


@needs_root
@pytest.mark.parametrize(
    ("backend", "told"),
    [
        ("file:///nowhere/at/all", "/nowhere/at/all"),
        ("https://127.0.0.1:9", "PULUMI_ACCESS_TOKEN"),
        ("nonsense", "PULUMI_BACKEND_URL"),
        ("s3://bucket?endpoint=127.0.0.1:9&s3ForcePathStyle=true&region=x", "PULUMI_BACKEND_URL"),
    ],
)
def test_a_backend_that_cant_be_reached_is_named(mops: Mops, backend: str, told: str) -> None:
    keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_MAX_ATTEMPTS": "1"}
    with mounts(mops, network=False) as inside:
        refused = inside.with_environment(PULUMI_BACKEND_URL=backend, **keys)(
            "registry", "up", expect=1
        )
    assert told in refused.stderr
    assert "code:" not in refused.stderr


@needs_root
@pytest.mark.parametrize("version", [None, "v3.0.0"])
def test_an_engine_that_is_missing_or_too_old_is_named(
    mops: Mops, tmp_path: Path, version: str | None
) -> None:
    path = os.environ["PATH"]
    if version is not None:
        old = tmp_path / "bin" / "pulumi"
        old.parent.mkdir()
        old.write_text(f"#!/bin/sh\necho {version}\n")
        old.chmod(0o755)
        path = f"{old.parent}:{path}"
    with mounts(mops, network=False) as inside:
        refused = inside.with_environment(PATH=path, MODELOPS_TOOLS=str(tmp_path / "none"))(
            "registry", "up", expect=1
        )
    assert "make setup" in refused.stderr
    assert version is None or version.lstrip("v") in refused.stderr


def _tools() -> str:
    from modelops.core.automation import tool_cache

    return str(tool_cache())


@contextmanager
def _another_program_at(inside: Mops, pid: int) -> Iterator[psutil.Process]:
    """Run a program that gets a pid which was another's, as those inside see pids."""
    code = (
        "import os, sys, json, time\n"
        "wanted, deadline = int(sys.argv[1]), time.monotonic() + 30\n"
        # Who had the pid may not have been reaped yet.
        "while time.monotonic() < deadline:\n"
        "    with open('/proc/sys/kernel/ns_last_pid', 'w') as last: last.write(str(wanted - 1))\n"
        "    child = os.fork()\n"
        "    if child == 0:\n"
        "        sys.stdin.read(); os._exit(0)\n"
        "    if child == wanted:\n"
        "        break\n"
        "    os.kill(child, 9); os.waitpid(child, 0)\n"
        "    time.sleep(0.01)\n"
        "print(json.dumps(child == wanted), flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [*inside.prefix, sys.executable, "-c", code, str(pid)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as maker:
        assert maker.stdin is not None
        assert maker.stdout is not None
        try:
            assert json.loads(maker.stdout.readline()), "the pid couldn't be had again"
            (other,) = (
                child
                for child in psutil.Process(maker.pid).children(recursive=True)
                if _pid_inside(child.pid) == pid
            )
            yield other
        finally:
            maker.stdin.close()
            maker.wait()


def _pid_inside(pid: int) -> int:
    """Return a process's pid in the innermost namespace that it's in."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("NSpid:")).split()[-1])
