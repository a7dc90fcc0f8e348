"""Trials scored anew by real children, from what a result store holds."""

import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from modelops.analysis.rescoring import best_first, rescore, rescored_table
from modelops.analysis.target_file import TargetFile
from modelops.contracts import FailureReason
from stored_run import StoredRun, make_plan

pytestmark = pytest.mark.integration

ABSOLUTE = """
import os
from pathlib import Path

from modelops.calibration import AbsoluteError, Target, target

import y_of_bundle


@target
def absolute():
    # Relative to this file, by its path and by where it runs.
    observed = [float(line) for line in Path("other.txt").read_text().split()]
    assert observed == [float(line) for line in (Path(__file__).parent / "other.txt").open()]
    data = {"x": list(range(len(observed))), "y": observed}
    return Target(data, on="x", value="y", loss=AbsoluteError())
"""
ALL_ARE_EQUAL = """
from modelops.calibration import Target, target


class Picky:
    def evaluate(self, aligned):
        if aligned.simulated.mean() < {limit}:
            raise ValueError("too small")
        return 1.0


@target
def picky():
    return Target({{"x": [1], "y": [0.0]}}, on="x", value="y", loss=Picky())
"""


def test_a_run_gets_another_loss_and_its_own_again(tmp_path: Path) -> None:
    made = StoredRun(tmp_path / "run", missing=(2,), failed={5: "no such slope"})
    (made.bundle / "y_of_bundle.py").write_text("")
    (tmp_path / "other.py").write_text(ABSOLUTE)
    (tmp_path / "other.txt").write_text("\n".join("13579"))
    file = TargetFile.read(tmp_path / "other.py")

    found = rescore(made.run, made.outputs(), lambda: file.evaluator(made.code))

    # The one that failed has no outputs, and never had.
    assert [item.record.trial.number for item in found] == [0, 1, 2, 3, 4, 6, 7]
    assert [item.record.trial.number for item in found if item.outcome is None] == [2]
    for item in found:
        if item.outcome is not None:
            means = made.means(item.record.trial)
            expected = sum(abs(a - b) for a, b in zip(means, [1, 3, 5, 7, 9], strict=True))
            assert item.loss == pytest.approx(expected)
            assert item.outcome.parts == {"absolute": item.loss}
    ranked = [item.loss for item in best_first(found)]
    assert ranked == sorted(filter(None, (item.loss for item in found)))

    pq.write_table(rescored_table(made.run, found), tmp_path / "both.parquet")
    rows = pq.read_table(tmp_path / "both.parquet").to_pylist()
    assert [row["trial"] for row in rows] == [0, 1, 2, 3, 4, 6, 7]
    assert [row["new_loss"] for row in rows] == [item.loss for item in found]
    assert [row["new_part.absolute"] for row in rows] == [item.loss for item in found]
    assert [row["new_status"] for row in rows].count("pruned") == 1
    for row, item in zip(rows, found, strict=True):
        assert item.record.outcome is not None
        assert row["old_loss"] == row["old_part.line"] == item.record.outcome.loss
        assert row["param.slope"] == item.record.trial.parameters.params["slope"]

    own = rescore(made.run, made.outputs(), made.code.evaluator)
    for item in own:
        if item.outcome is not None and item.record.outcome is not None:
            assert item.loss == pytest.approx(item.record.outcome.loss)


def test_a_target_that_fails_for_some_trials_costs_those_only(tmp_path: Path) -> None:
    made = StoredRun(tmp_path / "run")
    means = sorted(made.means(record.trial)[1] for record in made.run.records)
    limit = (means[3] + means[4]) / 2
    (tmp_path / "picky.py").write_text(ALL_ARE_EQUAL.format(limit=limit))
    file = TargetFile.read(tmp_path / "picky.py")

    found = rescore(made.run, made.outputs(), lambda: file.evaluator(made.code))

    failures = [item.outcome.failure for item in found if item.outcome and item.loss is None]
    assert len(failures) == 4
    for failure in failures:
        assert failure is not None
        assert failure.reason is FailureReason.MODEL
        assert "too small" in failure.message
    # Equal losses are in the order of their trials.
    numbers = [item.record.trial.number for item in best_first(found)]
    assert numbers == sorted(numbers)
    assert len(numbers) == 4


def test_a_thousand_trials_take_no_longer_than_a_short_while(tmp_path: Path) -> None:
    """`bench/rescore.py` has the bar of 3 s; here it's only that nothing is out of proportion."""
    made = StoredRun(tmp_path, make_plan(replicates=5, n_trials=1000), points=50, trials=1000)
    began = time.monotonic()
    found = rescore(made.run, made.outputs(), made.code.evaluator)
    assert time.monotonic() - began < 30
    assert len(best_first(found)) == 1000
