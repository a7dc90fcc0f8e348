"""How a run's simulations are run, from the command line: kept, found again, profiled."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from integration.test_main_job import sequence

if TYPE_CHECKING:
    from integration.conftest import Mops

# Each call of mops is an engine operation or more, a second or two each on an idle machine.
pytestmark = [pytest.mark.integration, pytest.mark.e2e, pytest.mark.timeout(300)]

SIMULATIONS = 8
PARTS = ["waiting", "starting", "running", "returning"]

MODEL = """\
import time
from pathlib import Path

import numpy as np

COUNTER = [0]


def simulate(params, seed):
    COUNTER[0] += 1
    with Path("{calls}").open("a") as calls:
        calls.write(f"{{COUNTER[0]}}\\n")
    time.sleep(0.01)
    return {{"x": np.arange(5), "y": params["slope"] * np.arange(5) + (seed % 7) / 10}}
"""


def change_execution(mops: Mops, **execution: Any) -> None:
    file = mops.folder / "runtime.yaml"
    spec = yaml.safe_load(file.read_text())
    spec["spec"]["algorithms"]["fit"]["execution"] = execution
    file.write_text(yaml.safe_dump(spec))


def numbers_of(calls: Path) -> list[int]:
    """Return of each call of the model how often its process had called it by then."""
    return [int(line) for line in calls.read_text().split()]


def test_a_run_is_profiled_and_another_one_takes_its_results(mops: Mops, tmp_path: Path) -> None:
    calls = tmp_path / "calls"
    mops.write_model(MODEL.format(calls=calls))
    mops.write_spec(n_trials=SIMULATIONS // 2, replicates=2, keep_outputs=True)
    for stack in ("registry", "infra", "workspace"):
        mops(stack, "up")

    first = mops("adaptive", "up", "--run-id", "first", "--profile")
    assert len(numbers_of(calls)) == SIMULATIONS
    assert f"{SIMULATIONS} simulations were run; seconds:" in first.stderr
    table = [line.split() for line in first.stdout.splitlines()]
    at = table.index(["PART", "TOTAL", "MEAN", "P50", "P95", "LONGEST"])
    assert [row[0] for row in table[at + 1 :]] == PARTS
    profile = mops.json("adaptive", "results", "--run-id", "first", "--profile")
    assert profile["simulations"] == SIMULATIONS
    assert set(profile["seconds"]) == set(PARTS)
    running = profile["seconds"]["running"]
    assert 0.01 <= running["mean"] <= running["longest"]
    assert running["total"] == pytest.approx(SIMULATIONS * running["mean"])

    # Under another name it's another run, which has nothing left to simulate.
    mops("adaptive", "up", "--run-id", "second", "--profile")
    assert len(numbers_of(calls)) == SIMULATIONS
    assert sequence(mops, "second") == sequence(mops, "first")
    assert mops.json("adaptive", "results", "--run-id", "second", "--profile")["simulations"] == 0

    # The spec may say that nothing is kept or found, and that each has a process of its own.
    change_execution(mops, keepOutputs=False, isolation="fresh", profile=True)
    mops("adaptive", "up", "--run-id", "fresh", "--quiet")
    assert numbers_of(calls)[SIMULATIONS:] == [1] * SIMULATIONS
    assert sequence(mops, "fresh") == sequence(mops, "first")
    fresh = mops.json("adaptive", "results", "--run-id", "fresh", "--profile")
    assert fresh["simulations"] == SIMULATIONS

    # What is kept goes by age and by run.
    refused = mops("adaptive", "prune", expect=2)
    assert "--older-than 30d" in refused.stderr
    assert mops.json("adaptive", "prune", "--older-than", "1h")["segments"] == 0
    assert mops.json("adaptive", "prune", "--run-id", "second")["segments"] == 0
    assert mops.json("adaptive", "prune", "--run-id", "first")["segments"] > 0
    change_execution(mops, keepOutputs=True)
    mops("adaptive", "up", "--run-id", "third", "--quiet")
    assert len(numbers_of(calls)) == 3 * SIMULATIONS
