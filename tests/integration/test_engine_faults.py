"""An engine killed at many moments of `up` and of `down`, and Ctrl-C at each stack."""

from __future__ import annotations

import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from integration.conftest import MARK
from integration.machine import (
    assert_as_planned,
    assert_no_orphan,
    assert_nothing_left,
    assert_up,
    eventually,
    kill_all,
    ports_of,
    processes_of,
    state_of,
)
from integration.moments import (
    Moment,
    When,
    await_engines,
    await_moment,
    interrupt,
)
from integration.registry_process import registry_binary
from integration.test_local_registry import write_registry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from integration.conftest import Mops

pytestmark = [pytest.mark.integration, pytest.mark.e2e, pytest.mark.timeout(400)]


def in_chaos(*moments: Any) -> list[Any]:
    """Return more of the same for `make chaos`; a few are tried each time."""
    return [
        pytest.param(*(item if isinstance(item, tuple) else (item,)), marks=pytest.mark.chaos)
        for item in moments
    ]


@pytest.fixture
def whole(mops_with_postgres: Mops) -> Mops:
    """`mops` with a process in every stack: a registry with password and TLS, PostgreSQL."""
    registry_binary()
    write_registry(mops_with_postgres, auth="htpasswd", tls=True)
    return mops_with_postgres


def told(command: subprocess.Popen[str]) -> str:
    """Return all that a command said; it mustn't be what people can do nothing with."""
    output, _ = command.communicate(timeout=200)
    for word in ("Traceback", "Internal error", "Warning:", "warnings.warn"):
        assert word not in output, output
    return output


def kill_at(mops: Mops, moment: Moment, *command: str) -> str:
    """Kill the engine of a command at a moment; return what it said of it."""
    running = mops.start(*command)
    await_moment(mops, running, moment).kill()
    output = told(running)
    assert running.returncode == 1, f"{moment}: {output}"
    assert "the engine was ended by signal 9" in output
    assert "Run the command again" in output
    eventually(lambda: engines_and_plugins(mops) == [])
    assert_no_orphan(mops)
    return output


def engines_and_plugins(mops: Mops) -> list[str]:
    found = []
    for process in processes_of(mops):
        with suppress(psutil.NoSuchProcess):
            found += [process.name()] if process.name().startswith("pulumi") else []
    return found


def test_an_engine_killed_in_up_and_in_down(mops: Mops) -> None:
    kill_at(mops, Moment("up", "adaptive", When.PROCESS), "up")
    ports = assert_up(mops)
    kill_at(mops, Moment("destroy", "workspace", When.PROCESS), "down")
    assert ports >= assert_up(mops) != set()
    mops("down", "--delete-data", "--yes")
    assert_nothing_left(mops, ports)


@pytest.mark.chaos
@pytest.mark.parametrize(
    ("in_up", "in_down"),
    [
        (("registry", When.FIRST), ("adaptive", When.FIRST)),
        (("registry", When.PROCESS), ("adaptive", When.PROCESS)),
        (("registry", When.LAST, 7), ("workspace", When.FIRST)),
        (("infra", When.FIRST), ("workspace", When.LAST)),
        (("infra", When.PROCESS), ("infra", When.FIRST)),
        (("infra", When.LAST, 6), ("infra", When.PROCESS)),
        (("workspace", When.FIRST), ("infra", When.LAST)),
        (("workspace", When.PROCESS), ("registry", When.FIRST)),
        (("workspace", When.LAST, 4), ("registry", When.PROCESS)),
        (("adaptive", When.FIRST), ("registry", When.LAST)),
    ],
)
def test_an_engine_killed_at_any_moment(whole: Mops, in_up: Any, in_down: Any) -> None:
    kill_at(whole, Moment("up", *in_up), "up")
    ports = assert_up(whole)
    kill_at(whole, Moment("destroy", *in_down), "down")
    ports |= assert_up(whole)
    whole("down", "--delete-data", "--yes")
    assert_nothing_left(whole, ports)


@pytest.mark.chaos
def test_an_engine_killed_beside_another(whole: Mops) -> None:
    whole("up")
    kill_all(whole)
    up = whole.start("up")
    engines = await_engines(whole, up, Moment("up", "registry"), Moment("up", "infra"))
    engines[1].kill()
    output = told(up)
    assert up.returncode == 1, output
    assert "modelops-infra-dev" in output
    assert_no_orphan(whole)
    ports = assert_up(whole)
    whole("down", "--delete-data", "--yes")
    assert_nothing_left(whole, ports)


@pytest.mark.parametrize("component", ["infra", *in_chaos("registry", "workspace", "adaptive")])
def test_nothing_is_forgotten_if_down_comes_after_a_killed_up(whole: Mops, component: str) -> None:
    kill_at(whole, Moment("up", component, When.PROCESS), "up")
    ports = ports_of(whole)
    whole("down", "--delete-data", "--yes")
    assert_nothing_left(whole, ports)


def assert_interrupted(mops: Mops, command: subprocess.Popen[str], times: int) -> None:
    """Press Ctrl-C so often; the command says what it does, does it, and leaves no orphan."""
    interrupt(command)
    assert command.stdout is not None
    lines = []
    while not any("Ctrl-C again" in line for line in lines):
        lines.append(command.stdout.readline())
        assert lines[-1], f"it ended without a word: {lines}"
    if times == 2:
        interrupt(command)
    output = told(command)
    assert command.returncode == 130, output
    assert output.splitlines()[-1] == "Interrupted."
    assert ("Stopped at once" in output) == (times == 2), output
    eventually(lambda: engines_and_plugins(mops) == [])
    assert_no_orphan(mops)


@pytest.mark.parametrize(
    ("component", "times"),
    [
        ("workspace", 2),
        *in_chaos(
            ("registry", 1),
            ("registry", 2),
            ("infra", 1),
            ("infra", 2),
            ("workspace", 1),
            ("adaptive", 1),
            ("adaptive", 2),
        ),
    ],
)
def test_ctrl_c_in_up(request: pytest.FixtureRequest, component: str, times: int) -> None:
    is_plain = component in ("workspace", "adaptive")
    mops = request.getfixturevalue("mops" if is_plain else "whole")
    up = mops.start("up")
    await_moment(mops, up, Moment("up", component, When.PROCESS))
    assert_interrupted(mops, up, times)
    # The first time it finishes what it is at, the second time it doesn't.
    assert (state_of(mops, component).get("pending_operations") is None) == (times == 1)
    assert_up(mops)


@pytest.mark.parametrize(
    ("component", "times"),
    [("workspace", 1), *in_chaos(("workspace", 2), ("registry", 1), ("registry", 2))],
)
def test_ctrl_c_in_down(mops: Mops, component: str, times: int) -> None:
    for stack in ("registry", "infra", "workspace"):
        mops(stack, "up")
    ports = ports_of(mops)
    down = mops.start("down")
    when = When.PROCESS if component == "workspace" else When.FIRST
    await_moment(mops, down, Moment("destroy", component, when))
    assert_interrupted(mops, down, times)
    mops("down", "--delete-data", "--yes")
    assert_nothing_left(mops, ports)


@pytest.mark.chaos
@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_in_two_engines_at_once(whole: Mops, times: int) -> None:
    whole("up")
    kill_all(whole)
    up = whole.start("up")
    await_engines(whole, up, Moment("up", "registry"), Moment("up", "infra", When.PROCESS))
    assert_interrupted(whole, up, times)
    assert_up(whole)


@pytest.mark.chaos
@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_in_preview_and_refresh(mops: Mops, times: int) -> None:
    mops("registry", "up")
    for operation in ("preview", "refresh"):
        command = mops.start("registry", operation)
        await_moment(mops, command, Moment(operation, "registry"))
        assert_interrupted(mops, command, times)
        assert set(mops.json("registry", "up")["changes"]) == {"same"}


def test_two_at_once_wait_for_each_other_and_who_waits_can_be_stopped(mops: Mops) -> None:
    first = mops.start("up")
    await_moment(mops, first, Moment("up", "registry"))
    second, third = mops.start("up"), mops.start("up")
    assert second.stdout is not None
    assert third.stdout is not None
    # What a command says before depends on nothing: it says nothing else.
    for waiting in (second.stdout, third.stdout):
        assert f"wait for another mops that is at work here (process {first.pid})" in (
            waiting.readline()
        )
    interrupt(third)
    assert told(third) == "Interrupted.\n"
    assert third.returncode == 130
    outputs = [told(command) for command in (first, second)]
    assert [first.returncode, second.returncode] == [0, 0], outputs
    assert_up(mops)


def test_mops_itself_killed_in_the_middle(mops: Mops) -> None:
    up = mops.start("up")
    await_moment(mops, up, Moment("up", "workspace", When.PROCESS))
    up.kill()
    up.communicate(timeout=60)
    # The engine and the plugin don't outlive who started them, nor does what they were starting.
    eventually(lambda: engines_and_plugins(mops) == [])
    ports = assert_up(mops)
    assert list((mops.home / "tmp").iterdir()) == []
    mops("down", "--delete-data", "--yes")
    assert_nothing_left(mops, ports)


@pytest.fixture
def elsewhere(mops: Mops, tmp_path: Path) -> Iterator[Mops]:
    """Another user on the same machine: another home, another folder, the same backend."""
    (tmp_path / "another home").mkdir()
    other = mops.with_environment(MODELOPS_HOME=str(tmp_path / "another home"))
    yield other
    if (other.home / "pulumi").exists():
        other("down", "--delete-data", "--yes")


def test_a_lock_that_a_living_engine_holds_is_respected(mops: Mops, elsewhere: Mops) -> None:
    backend = mops.home / "pulumi"
    backend.mkdir()
    shared = {"PULUMI_BACKEND_URL": backend.as_uri(), "PULUMI_CONFIG_PASSPHRASE": "one for both"}
    one, other = mops.with_environment(**shared), elsewhere.with_environment(**shared)
    up = one.start("registry", "up")
    engine = await_moment(one, up, Moment("up", "registry"))
    eventually(lambda: [*backend.glob(".pulumi/locks/*/modelops-registry/*/*.json")])
    engine.suspend()
    try:
        refused = other("registry", "up", expect=1)
        assert f"its lock is held by {psutil.Process().username()}@" in refused.stderr
        assert f"(process {engine.pid}) since 20" in refused.stderr
        assert "Wait until that has ended" in refused.stderr
    finally:
        engine.resume()
    told(up)
    assert up.returncode == 0
    assert set(other.json("registry", "up")["changes"]) <= {"same", "update"}
    one("down", "--delete-data", "--yes")


@pytest.mark.chaos
def test_two_homes_on_one_machine_dont_collide(mops: Mops, elsewhere: Mops) -> None:
    both = (mops, elsewhere.with_environment(**{MARK: "another user"}))
    commands = [user.start("up") for user in both]
    for command in commands:
        output = told(command)
        assert command.returncode == 0, output
        assert "wait for another mops" not in output
    ports = [assert_up(user) for user in both]
    assert not ports[0] & ports[1]
    mops("down", "--delete-data", "--yes")
    assert list(mops.home.iterdir()) == []
    assert_as_planned(both[1])
    assert ports_of(both[1]) == ports[1]
    both[1]("down", "--delete-data", "--yes")
    assert_nothing_left(both[1], ports[1])
    assert_nothing_left(mops, ports[0])
