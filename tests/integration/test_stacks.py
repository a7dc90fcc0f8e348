"""The four stacks on the real engine: up, heal, refuse, down."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from conftest import has_ended, processes_below
from integration.machine import SCHEDULER, assert_no_orphan, modules_running, pending
from integration.moments import Moment, When, await_moment, starting

if TYPE_CHECKING:
    from integration.conftest import Mops

# Each call of mops is an engine operation or more, a second or two each on an idle machine.
pytestmark = [pytest.mark.integration, pytest.mark.e2e, pytest.mark.timeout(180)]


def scheduler_of(mops: Mops) -> tuple[int, dict[str, Any]]:
    resources = mops.json("workspace", "status")["resources"]
    return int(resources["dask-scheduler"]["pid"]), resources


def test_a_stack_goes_up_once_heals_and_goes_down(mops: Mops) -> None:
    mops("registry", "up")
    mops("infra", "up")
    first = mops.json("workspace", "up")
    assert first["changes"]["create"] > 0
    # A file beside a state is written in place, and breaks whoever reads the state meanwhile.
    state = next((mops.home / "pulumi").rglob("modelops-workspace-dev.json"))
    assert not list(state.parent.glob("*.attrs"))
    pid, resources = scheduler_of(mops)
    outputs = mops.json("workspace", "outputs")

    again = mops.json("workspace", "up")
    assert set(again["changes"]) == {"same"}
    assert scheduler_of(mops)[0] == pid

    psutil.Process(pid).kill()
    mops("workspace", "refresh", "--exit-code", expect=3)
    assert "dead" in mops("workspace", "status").stdout
    mops("workspace", "preview", "--exit-code", expect=3)
    healed = mops.json("workspace", "up")
    assert healed["changes"]["update"] >= 1
    new_pid, new_resources = scheduler_of(mops)
    assert new_pid != pid
    assert new_resources["dask-scheduler"]["ports"] == resources["dask-scheduler"]["ports"]
    assert mops.json("workspace", "outputs") == outputs

    mops("workspace", "down")
    assert processes_below(mops.home.resolve()) == []


def test_the_order_is_kept_in_both_directions(mops: Mops) -> None:
    too_early = mops("infra", "up", expect=4)
    assert "mops registry up" in too_early.stderr
    mops("registry", "up")
    mops("infra", "up")
    too_late = mops("registry", "down", expect=2)
    assert "modelops-infra-dev" in too_late.stderr
    assert "mops infra down" in too_late.stderr
    assert "Traceback" not in too_early.stderr + too_late.stderr
    mops("infra", "down")
    mops("registry", "down")
    mops("registry", "outputs", expect=4)


def test_a_plan_touches_nothing_and_is_the_same_each_time(mops: Mops) -> None:
    first = mops("plan", "--json").stdout
    assert mops("plan", "--json").stdout == first
    assert list(mops.home.iterdir()) == []
    assert "modelops-workspace-dev" in mops("plan").stdout


def test_down_keeps_the_data_and_delete_data_leaves_nothing(mops: Mops) -> None:
    mops("registry", "up")
    mops("infra", "up")
    result = Path(mops.home / "local/dev/objects/results/kept.txt")
    result.write_text("data")
    mops("down")
    assert result.read_text() == "data"
    mops("infra", "outputs", expect=4)
    mops("down", "--delete-data", expect=2)
    assert mops("down").stderr == "dev: nothing is up.\n"
    mops("down", "--delete-data", "--yes")
    assert not (mops.home / "local" / "dev").exists()


def test_a_preview_leaves_nothing_behind(mops: Mops) -> None:
    assert "created" in mops("plan", "--preview").stdout
    mops("registry", "outputs", expect=4)
    assert mops("registry", "up", "--json").stdout.count("create") == 1


def test_an_engine_that_was_killed_leaves_nothing_in_the_way(mops: Mops) -> None:
    mops("registry", "up")
    mops("infra", "up")
    up = mops.start("workspace", "up")
    engine = await_moment(mops, up, Moment("up", "workspace", When.PROCESS))
    (half_made,) = starting(mops, up, "workspace")
    engine.kill()
    output, _ = up.communicate(timeout=60)
    assert up.returncode == 1
    assert "Traceback" not in output
    assert "the engine was ended by signal 9" in output
    assert "end dask-scheduler, which was half made" in output
    assert has_ended(half_made)
    assert pending(mops, "workspace") == {"dask-scheduler": "creating"}

    healed = mops("workspace", "up").stderr
    assert "clear the lock that " in healed
    assert f"(process {engine.pid}) since 20" in healed
    assert "clear the note that making dask-scheduler was cut off" in healed
    assert pending(mops, "workspace") == {}
    again = mops("workspace", "up")
    assert "modelops-workspace-dev: 7 unchanged" in again.stderr
    assert "clear" not in again.stderr
    assert modules_running(mops)[SCHEDULER] == 1
    assert_no_orphan(mops)


def test_nothing_is_up_at_first_and_status_says_so(mops: Mops) -> None:
    done = mops("status", expect=4)
    assert "mops up" in done.stderr


def test_two_environments_dont_know_of_each_other(mops: Mops) -> None:
    mops("registry", "up")
    mops("registry", "up", "--env", "other")
    mops("registry", "down", "--env", "other")
    registry = mops.json("registry", "outputs")["env"]["MODELOPS_BUNDLE_REGISTRY"]
    assert registry.endswith("local/dev/registry")
