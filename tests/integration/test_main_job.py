"""The main job from the command line: spec → stacks → Dask → ask/tell → results."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from conftest import processes_below
from modelops.runner.journal import Journal
from modelops.runner.results import read_results

if TYPE_CHECKING:
    from integration.conftest import Mops

# Each call of mops is an engine operation or more, a second or two each on an idle machine.
pytestmark = [pytest.mark.integration, pytest.mark.e2e, pytest.mark.timeout(180)]

SLOW = """\
import time

import numpy as np


def simulate(params, seed):
    time.sleep(0.15)
    return {"x": np.arange(5), "y": params["slope"] * np.arange(5) + (seed % 7) / 10}
"""


ENDLESS = """\
import time


def simulate(params, seed):
    time.sleep(600)
"""


def sequence(mops: Mops, run_id: str) -> list[tuple[Any, ...]]:
    """What must be the same however many workers there were and whatever died."""
    rows = read_results(f"file://{mops.home}/local/dev/objects/results", run_id).to_pylist()
    return [(row["trial"], row["param_id"], tuple(row["seeds"]), row["loss"]) for row in rows]


def wait_until(condition: Callable[[], bool], seconds: float = 40) -> None:
    """Look at the real thing again and again: a test can't be told when it has changed."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it didn't come about"
        time.sleep(0.05)


def ended_trials(mops: Mops, run_id: str) -> int:
    path = mops.home / "local/dev/databases/journal/journal.sqlite"
    with Journal.open(f"sqlite:///{path}") as journal:
        progress = journal.progress(run_id)
    return 0 if progress is None else progress.completed + progress.failed


def runner_of(mops: Mops, run_id: str) -> psutil.Process:
    return next(
        process
        for process in processes_below(mops.home.resolve())
        if "modelops.runner.main" in process.cmdline()
        and any(run_id in part for part in process.cmdline())
        and not any(part.endswith("launcher.py") for part in process.cmdline())
    )


def count_workers(mops: Mops) -> int:
    running = [process.cmdline() for process in processes_below(mops.home.resolve())]
    return sum("distributed.cli.dask_worker" in command for command in running)


def test_up_runs_a_calibration_once(mops: Mops) -> None:
    first = mops("up")
    run_id = first.stdout.strip()
    assert run_id.startswith("fit-")
    mops("adaptive", "status", "--watch")
    best = mops.json("adaptive", "results")[0]
    assert abs(best["param.slope"] - 2) < 1.5
    listed = mops.json("adaptive", "list")
    assert [(run["run_id"], run["state"], run["completed"]) for run in listed] == [
        (run_id, "finished", 8)
    ]
    assert "finished" in mops("adaptive", "logs").stdout

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
    wait_until(lambda: ended_trials(mops, "killed") >= 2)
    runner_of(mops, "killed").kill()
    before = ended_trials(mops, "killed")
    assert before < 32
    resumed = mops("adaptive", "up", "--run-id", "killed")
    assert "update" in resumed.stderr
    assert sequence(mops, "killed") == sequence(mops, whole)


def test_what_a_run_is_doing_is_said_truly(mops: Mops) -> None:
    # However slow the machine is, the run is still going on when it is looked at.
    mops.write_model(ENDLESS)
    run_id = mops("up").stdout.strip()
    assert mops.json("status")["runs"][0]["state"] == "running"
    runner_of(mops, run_id).kill()
    wait_until(lambda: mops.json("status")["runs"][0]["state"] == "interrupted")
    mops("adaptive", "down", "--run-id", "another", expect=4)
    mops("adaptive", "down")
    mops("adaptive", "down", expect=4)
    assert "interrupted" in mops("adaptive", "list").stdout
    assert mops("adaptive", "up", "--run-id", "Not a label", expect=2).stdout == ""


def test_a_killed_worker_costs_no_result(mops: Mops) -> None:
    mops.write_spec(workers=2)
    mops.write_model(SLOW)
    run_id = mops("up").stdout.strip()
    workers = [
        process
        for process in processes_below(mops.home.resolve())
        if "distributed.cli.dask_worker" in process.cmdline()
    ]
    assert len(workers) == 2
    workers[0].kill()
    mops("adaptive", "status", "--watch", "--run-id", run_id, "--quiet")
    status = mops.json("adaptive", "status", "--run-id", run_id)
    assert (status["state"], status["completed"], status["failed"]) == ("finished", 8, 0)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("raise ValueError('no such disease')", "no such disease"),
        ("return {'x': np.arange(5), 'y': np.full(5, np.nan)}", "column 'y' is nan at x=0"),
        ("import sys; sys.exit(3)", "sys.exit(3)"),
    ],
)
def test_a_model_that_always_fails_ends_the_run_with_its_reason(
    mops: Mops, body: str, words: str
) -> None:
    mops.write_model(f"import numpy as np\n\n\ndef simulate(params, seed):\n    {body}\n")
    mops("registry", "up")
    mops("infra", "up")
    mops("workspace", "up")
    failed = mops("adaptive", "up", expect=1)
    assert words in failed.stderr
    assert "Traceback" not in failed.stderr
    assert mops.json("adaptive", "list")[0]["state"] == "failed"
    assert words in mops("adaptive", "logs").stdout


def test_a_model_that_prints_is_no_problem(mops: Mops) -> None:
    mops.write_model(
        "import os\nimport numpy as np\n\n\ndef simulate(params, seed):\n"
        "    print('to stdout' * 100)\n    os.write(1, b'to descriptor 1')\n"
        "    return {'x': np.arange(5), 'y': params['slope'] * np.arange(5)}\n"
    )
    mops("up")
    mops("adaptive", "status", "--watch", "--quiet")
    assert mops.json("adaptive", "list")[0]["completed"] == 8
