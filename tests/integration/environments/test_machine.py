"""Environments when processes are many, or are killed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from conftest import has_ended
from environment_bundles import Machine, run_in
from web_server import Answer, Seen, serving
from wheels import index_of

pytestmark = pytest.mark.integration

PREPARE = """\
import sys
from pathlib import Path
from modelops.core.errors import BundleError
from modelops.environments import EnvironmentCache
try:
    print(EnvironmentCache(Path(sys.argv[1])).prepare(Path(sys.argv[2]), sys.argv[3]))
except BundleError as error:
    print(error)
"""
# With the file that each process makes before it waits for its turn.
SAY_WHO_WAITS = """\
import os, pathlib
from modelops.environments import cache
lock = cache.making_lock
def said(root, key):
    pathlib.Path({!r}, str(os.getpid())).touch()
    return lock(root, key)
cache.making_lock = said
"""


def _start(
    machine: Machine, bundle: Path, mode: str, script: str = PREPARE
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script, str(machine.root), str(bundle), mode],
        stdout=subprocess.PIPE,
        text=True,
    )


def _answers(*processes: subprocess.Popen[str]) -> list[str]:
    """Return what each says in the end."""
    try:
        return [process.communicate(timeout=50)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()


@pytest.mark.parametrize("mode", ["layered", "isolated"])
def test_processes_that_ask_at_once_get_the_same(machine: Machine, mode: str) -> None:
    machine.wheel("seir", "1.0")
    bundle = machine.bundle("seir")

    answers = set(_answers(*[_start(machine, bundle, mode) for _ in range(8)]))

    assert len(answers) == 1
    assert "BundleEnvironment(" in answers.pop()
    (entry,) = machine.entries()
    # Nothing was made twice and put in its place.
    assert [path.name for path in entry.parent.iterdir() if path.suffix == ".d"] == []


def test_processes_that_wait_for_a_failure_try_nothing(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    waiting = tmp_path / "waiting"
    waiting.mkdir()

    def answer(seen: Seen) -> Answer:
        asked.append(seen.path)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and len(list(waiting.iterdir())) < 4:
            time.sleep(0.05)
        return 404, {}, b""

    with serving(answer) as server:
        monkeypatch.delenv("UV_OFFLINE")
        monkeypatch.setenv("UV_DEFAULT_INDEX", f"{server.url}/simple/")
        bundle = machine.bundle("seir")
        script = f"{SAY_WHO_WAITS.format(str(waiting))}{PREPARE}"
        answers = _answers(*[_start(machine, bundle, "layered", script) for _ in range(4)])

    assert len(set(answers)) == 1
    assert "seir was not found" in answers[0]
    assert asked == ["/simple/seir/"]


@pytest.mark.parametrize("mode", ["layered", "isolated"])
def test_a_killed_install_is_made_by_the_next(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    machine.wheel("seir", "1.0")
    with index_of(machine.wheels) as index:
        monkeypatch.delenv("UV_OFFLINE")
        monkeypatch.delenv("UV_FIND_LINKS")
        monkeypatch.setenv("UV_DEFAULT_INDEX", f"{index.url}/simple/")
        respond, killed = index.answer, []

        def answer(seen: Seen) -> Answer:
            if not killed:
                killed.append([first, *psutil.Process(first.pid).children(recursive=True)])
                first.kill()
            return respond(seen)

        index.answer = answer
        bundle = machine.bundle("seir")
        first = _start(machine, bundle, mode)
        assert _answers(first) == [""]
        assert killed, "it was killed while it asked for a package"

        environment = machine.cache().prepare(bundle, mode)

        for process in killed[0][1:]:
            process.wait(30)
            assert has_ended(process)
    assert run_in(environment, "import seir; print(seir.VERSION)") == "1.0"
    machine.wheel("seirlib", "1.0")
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_FIND_LINKS", str(machine.wheels))
    other = machine.cache().prepare(machine.bundle("seirlib", name="other"), "layered")
    # What the killed one left is gone.
    places = {Path(environment.interpreter if mode == "isolated" else environment.paths[0])}
    roots = {place.relative_to(machine.root).parts[0] for place in places}
    assert {path.name for path in machine.entries()} == roots | {Path(other.paths[0]).parent.name}


def test_a_process_that_comes_later_takes_what_is_there(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.wheel("seir", "1.0")
    bundle = machine.bundle("seir")
    environment = machine.cache().prepare(bundle, "layered")
    monkeypatch.setenv("UV_FIND_LINKS", os.devnull)

    assert machine.cache().prepare(bundle, "layered") == environment
