"""The main job from the command line: spec → stacks → Dask → ask/tell → results."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psutil
import pytest

from conftest import command_of, processes_below
from integration.machine import eventually
from modelops.runner.journal import Journal
from modelops.runner.results import read_trials

if TYPE_CHECKING:
    from integration.conftest import Mops

# Each call of mops is an engine operation or more, a second or two each on an idle machine.
pytestmark = [pytest.mark.integration, pytest.mark.e2e, pytest.mark.timeout(300)]

SLOW = """\
import time

import numpy as np


def simulate(params, seed):
    time.sleep(0.15)
    return {"x": np.arange(5), "y": params["slope"] * np.arange(5) + (seed % 7) / 10}
"""


# Goes on once nobody holds it.
HELD = """\
import pathlib
import time

import numpy as np


def simulate(params, seed):
    while pathlib.Path("{hold}").exists():
        time.sleep(0.02)
    return {{"x": np.arange(5), "y": params["slope"] * np.arange(5) + (seed % 7) / 10}}
"""


def sequence(mops: Mops, run_id: str) -> list[tuple[Any, ...]]:
    """What must be the same however many workers there were and whatever died."""
    rows = read_trials(f"file://{mops.home}/local/dev/objects/results", run_id)
    return [(row["trial"], row["param_id"], tuple(row["seeds"]), row["loss"]) for row in rows]


def ended_trials(mops: Mops, run_id: str) -> int:
    path = mops.home / "local/dev/databases/journal/journal.sqlite"
    with Journal.open(f"sqlite:///{path}") as journal:
        progress = journal.progress(run_id)
    return 0 if progress is None else progress.completed + progress.failed


def runner_of(mops: Mops, run_id: str) -> psutil.Process:
    return next(
        process
        for process in processes_below(mops.home.resolve())
        if "modelops.runner.main" in command_of(process)
        and any(run_id in part for part in command_of(process))
        and not any(part.endswith("launcher.py") for part in command_of(process))
    )


def count_workers(mops: Mops) -> int:
    running = [command_of(process) for process in processes_below(mops.home.resolve())]
    return sum("distributed.cli.dask_worker" in command for command in running)


def test_up_runs_a_calibration_once(mops: Mops) -> None:
    first = mops("up")
    run_id = first.stdout.strip()
    assert run_id.startswith("fit-")
    # Following the run's log ends with the run.
    followed = mops("logs", f"run-{run_id}", "--follow").stdout
    assert mops("adaptive", "logs", "-f").stdout == followed
    assert "finished" in followed
    mops("adaptive", "status", "--watch")
    best = mops.json("adaptive", "results")[0]
    assert abs(best["param.slope"] - 2) < 1.5
    listed = mops.json("adaptive", "list")
    assert [(run["run_id"], run["state"], run["completed"]) for run in listed] == [
        (run_id, "finished", 8)
    ]

    second = mops.json("up")
    assert second["runs"] == [run_id]
    assert all(set(stack["changes"]) == {"same"} for stack in second["stacks"])
    assert len(mops.json("adaptive", "list")) == 1

    mops("workspace", "down", expect=2)
    mops("adaptive", "down")
    assert sequence(mops, run_id)
    mops("down")
    assert processes_below(mops.home.resolve()) == []


def test_the_result_is_the_same_with_1_2_and_4_workers(mops: Mops) -> None:
    sequences = []
    mops("registry", "up")
    mops("infra", "up")
    for workers in (1, 2, 4):
        mops.write_spec(workers=workers)
        mops("workspace", "up")
        assert count_workers(mops) == workers
        name = f"with-{workers}"
        mops("adaptive", "up", "--run-id", name, "--quiet")
        sequences.append(sequence(mops, name))
    assert len(sequences[0]) == 8
    assert sequences[0] == sequences[1] == sequences[2]


def test_a_killed_runner_goes_on_from_its_journal(mops: Mops) -> None:
    mops.write_model(SLOW)
    mops.write_spec(n_trials=32)
    whole = mops("up").stdout.strip()
    mops("adaptive", "status", "--watch", "--run-id", whole, "--quiet")

    mops("adaptive", "up", "--run-id", "killed", "--detach")
    eventually(lambda: ended_trials(mops, "killed") >= 2)
    runner_of(mops, "killed").kill()
    before = ended_trials(mops, "killed")
    assert before < 32
    resumed = mops("adaptive", "up", "--run-id", "killed")
    assert "update" in resumed.stderr
    assert sequence(mops, "killed") == sequence(mops, whole)


def test_a_killed_worker_costs_no_result(mops: Mops) -> None:
    mops.write_spec(workers=2)
    hold = mops.folder.parent / "hold"
    hold.touch()
    mops.write_model(HELD.format(hold=hold))
    run_id = mops("up").stdout.strip()
    workers = [
        process
        for process in processes_below(mops.home.resolve())
        if "distributed.cli.dask_worker" in command_of(process)
    ]
    assert len(workers) == 2
    # Each has a simulation that doesn't end.
    eventually(lambda: all(len(worker.children(recursive=True)) > 1 for worker in workers))
    workers[0].kill()
    assert ended_trials(mops, run_id) == 0
    hold.unlink()
    mops("adaptive", "status", "--watch", "--run-id", run_id, "--quiet")
    status = mops.json("adaptive", "status", "--run-id", run_id)
    assert (status["state"], status["completed"], status["failed"]) == ("finished", 8, 0)


def test_a_model_that_always_fails_ends_the_run_with_its_reason_and_one_that_prints_doesnt(
    mops: Mops,
) -> None:
    failing = {
        "raised": ("raise ValueError('no such disease')", "no such disease"),
        "nan": (
            "return {'x': np.arange(5), 'y': np.full(5, np.nan)}",
            "column 'y' is nan at x=0",
        ),
        "exited": ("import sys; sys.exit(3)", "sys.exit(3)"),
    }
    # One environment for all: a failed run leaves it as it was.
    mops("registry", "up")
    mops("infra", "up")
    mops("workspace", "up")
    for run_id, (body, words) in failing.items():
        mops.write_model(f"import numpy as np\n\n\ndef simulate(params, seed):\n    {body}\n")
        failed = mops("adaptive", "up", "--run-id", run_id, expect=1)
        assert words in failed.stderr
        assert "Traceback" not in failed.stderr
        assert words in mops("adaptive", "logs", "--run-id", run_id).stdout
    states = {run["run_id"]: run["state"] for run in mops.json("adaptive", "list")}
    assert states == dict.fromkeys(failing, "failed")

    mops.write_model(
        "import os\nimport numpy as np\n\n\ndef simulate(params, seed):\n"
        "    print('to stdout' * 100)\n    os.write(1, b'to descriptor 1')\n"
        "    return {'x': np.arange(5), 'y': params['slope'] * np.arange(5)}\n"
    )
    mops("adaptive", "up", "--run-id", "printing", "--quiet")
    newest = mops.json("adaptive", "list")[0]
    assert (newest["run_id"], newest["completed"]) == ("printing", 8)
