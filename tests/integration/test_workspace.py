"""The Dask cluster of a workspace: its certificates, groups that scale, parts that are killed."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
import yaml

from conftest import has_ended, processes_below
from modelops.runner.journal import Journal
from modelops.runner.results import read_trials

if TYPE_CHECKING:
    from integration.conftest import Mops

pytestmark = [pytest.mark.integration, pytest.mark.e2e, pytest.mark.timeout(400)]

SECONDS = 120.0

SLOW = """\
import time

import numpy as np


def simulate(params, seed):
    time.sleep(0.3)
    rng = np.random.default_rng(seed)
    x = np.arange(5)
    return {"x": x, "y": params["slope"] * x + rng.normal(0, 0.1, 5)}
"""
# Goes on once nobody holds it.
HELD = """\
import pathlib
import time

import numpy as np


def simulate(params, seed):
    time.sleep(0.1)
    while pathlib.Path("{hold}").exists():
        time.sleep(0.05)
    rng = np.random.default_rng(seed)
    x = np.arange(5)
    return {{"x": x, "y": params["slope"] * x + rng.normal(0, 0.1, 5)}}
"""
# Leaves the name of the worker that it ran on.
NOTES = """\
import os
import pathlib

import numpy as np
import psutil

PLACE = pathlib.Path("{place}")


def simulate(params, seed):
    # The worker started what this is a copy of.
    command = psutil.Process(os.getppid()).parent().cmdline()
    mark = PLACE / f"{{seed}}.draft"
    kind = "fast" if "fast" in params else "slow"
    mark.write_text(command[command.index("--name") + 1] + " " + kind)
    mark.rename(PLACE / f"{{seed}}.txt")
    x = np.arange(5)
    return {{"x": x, "y": (params.get("slope") or params["fast"]) * x}}
"""
SUBMIT = """\
import sys
from distributed import Client
with Client(sys.argv[1], timeout=10) as client:
    print(client.submit(sum, [1, 2]).result(60))
"""


def until(condition: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + SECONDS
    while not (found := condition()):
        assert time.monotonic() < deadline, what
        time.sleep(0.05)
    return found


def programs(mops: Mops, name: str) -> list[psutil.Process]:
    """Return the environment's processes whose command line has this argument."""
    found = []
    for process in processes_below(mops.home.resolve()):
        try:
            if name in process.cmdline():
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found


def scheduler_of(mops: Mops) -> dict[str, Any]:
    """Return what the state says of the scheduler's process."""
    found: dict[str, Any] = mops.json("workspace", "status")["resources"]["dask-scheduler"]
    return found


def workers(mops: Mops) -> list[psutil.Process]:
    return programs(mops, "distributed.cli.dask_worker")


def sequence(mops: Mops, run_id: str) -> list[tuple[Any, ...]]:
    """What must be the same whatever died: each trial, its parameters and its loss, in order."""
    rows = read_trials(f"file://{mops.home}/local/dev/objects/results", run_id)
    return [(row["trial"], row["param.slope"], row["loss"]) for row in rows]


def completed(mops: Mops, run_id: str) -> int:
    path = mops.home / "local/dev/databases/journal/journal.sqlite"
    with Journal.open(f"sqlite:///{path}") as journal:
        progress = journal.progress(run_id)
    return 0 if progress is None else progress.completed


def change_spec(mops: Mops, **changes: Any) -> None:
    """Write the spec again with parts of its body replaced."""
    path = mops.folder / "runtime.yaml"
    spec = yaml.safe_load(path.read_text())
    spec["spec"].update(changes)
    path.write_text(yaml.safe_dump(spec))


def submit(address: str, settings: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Submit a function as any program of this machine could."""
    return subprocess.run(
        [sys.executable, "-c", SUBMIT, address],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def test_only_who_has_the_workspaces_certificate_can_submit_and_a_new_one_replaces_it(
    mops: Mops,
) -> None:
    for stack in ("registry", "infra", "workspace"):
        mops(stack, "up")
    outputs = mops.json("workspace", "outputs")
    address = outputs["env"]["DASK_SCHEDULER"]
    assert address.startswith("tls://127.0.0.1:")
    assert outputs["addresses"]["dask-scheduler"]["scheme"] == "tls"

    settings = {name: value for name, value in outputs["env"].items() if "__TLS__" in name}
    assert submit(address, settings).stdout == "3\n"
    assert submit(address, {}).returncode != 0
    # The CA is no secret: it alone opens nothing.
    ca = {name: value for name, value in settings.items() if name.endswith("CA_FILE")}
    assert submit(address, ca).returncode != 0
    for name, value in settings.items():
        if name.endswith("KEY"):
            assert stat.S_IMODE(Path(value).stat().st_mode) == 0o600

    assert set(mops.json("workspace", "up")["changes"]) == {"same"}

    # A new certificate starts again who held the old one.
    before = outputs["env"]
    (scheduler,) = programs(mops, "distributed.cli.dask_scheduler")
    key = Path(before["DASK_DISTRIBUTED__COMM__TLS__CLIENT__KEY"])
    key.unlink()
    mops("workspace", "up")
    after = mops.json("workspace", "outputs")["env"]
    assert {name for name in after if after[name] != before[name]} == {"MODELOPS_DASK_CERTIFICATE"}
    assert has_ended(scheduler)
    assert submit(after["DASK_SCHEDULER"], after).stdout == "3\n"
    assert set(mops.json("workspace", "up")["changes"]) == {"same"}


def test_a_run_finishes_by_itself_whatever_is_killed(mops: Mops) -> None:
    hold = mops.folder.parent / "hold"
    mops.write_model(HELD.format(hold=hold))
    mops.write_spec(n_trials=40)
    undisturbed = mops("up").stdout.strip()
    mops("adaptive", "status", "--watch", "--run-id", undisturbed, "--quiet")
    keeper = psutil.Process(int(scheduler_of(mops)["pid"]))

    hold.touch()
    mops("adaptive", "up", "--run-id", "killed", "--detach")
    for count, victim in (
        (0, lambda: programs(mops, "distributed.cli.dask_scheduler")[0]),
        (2, lambda: programs(mops, "modelops.worker.supervisor")[0]),
        (10, lambda: keeper),
    ):
        until(lambda count=count: completed(mops, "killed") >= count, f"no {count} trials")
        # What is under way stays so until the killing is done.
        hold.touch()
        process = victim()
        process.kill()
        until(lambda process=process: has_ended(process), "it can't be killed")
        assert completed(mops, "killed") < 40
        hold.unlink()
    mops("adaptive", "status", "--watch", "--run-id", "killed", "--quiet")
    assert len(sequence(mops, "killed")) == 40
    assert sequence(mops, "killed") == sequence(mops, undisturbed)

    # Of all that was killed only the keeper is for a person to see to.
    assert mops.json("workspace", "up")["changes"]["update"] == 1
    assert int(scheduler_of(mops)["pid"]) != keeper.pid
    mops("down")
    assert processes_below(mops.home.resolve()) == []


def test_a_group_grows_for_a_run_and_shrinks_to_nothing(mops: Mops) -> None:
    mops.environment["MODELOPS_IDLE_SECONDS"] = "2"
    mops.write_model(SLOW)
    mops.write_spec(n_trials=40)
    change_spec(mops, workerGroups={"default": {"min": 0, "max": 2}})
    for stack in ("registry", "infra", "workspace"):
        mops(stack, "up")
    assert workers(mops) == []
    run_id = mops("adaptive", "up", "--detach").stdout.strip()
    until(lambda: len(workers(mops)) == 2, "the group didn't grow")
    mops("adaptive", "status", "--watch", "--run-id", run_id, "--quiet")
    assert completed(mops, run_id) == 40
    until(lambda: workers(mops) == [], "the group didn't shrink")
    assert set(mops.json("workspace", "up")["changes"]) == {"same"}


def test_algorithms_at_once_run_on_their_own_groups(mops: Mops) -> None:
    place = mops.folder.parent / "places"
    place.mkdir()
    mops.write_model(NOTES.format(place=place))
    mops.write_spec()
    spec = yaml.safe_load((mops.folder / "runtime.yaml").read_text())["spec"]
    fit = spec["algorithms"]["fit"]
    space = {"fast": {"low": 0.0, "high": 4.0}}
    other = {
        **fit,
        "bindings": {"workers": "many"},
        "parameters": {**fit["parameters"], "seed": 8},
        "entrypoint": {**fit["entrypoint"], "space": space},
    }
    change_spec(
        mops,
        workerGroups={
            "one": {"min": 1, "max": 1, "resources": {"cpu": "1", "memory": "1Gi"}},
            "many": {"min": 0, "max": 2, "processes": 2, "threads": 2},
        },
        algorithms={"fit": {**fit, "bindings": {"workers": "one"}}, "other": other},
    )
    runs = mops.json("up")["runs"]
    assert len(runs) == 2
    for run_id in runs:
        mops("adaptive", "status", "--watch", "--run-id", run_id, "--quiet")
    seen = {tuple(path.read_text().split()) for path in place.glob("*.txt")}
    assert len(list(place.glob("*.txt"))) == 32
    assert {(name.split("-")[0], kind) for name, kind in seen} == {
        ("one", "slow"),
        ("many", "fast"),
    }
