"""Trials against the data, by the targets' own code in a child."""

from pathlib import Path

import pytest

from modelops.analysis.fits import fits_of
from modelops.contracts import FailureReason
from stored_run import REF, StoredRun, simulated

pytestmark = pytest.mark.integration

MORE = """
from modelops.calibration import MetricAlignment, Target, target

@target
def metric():
    return Target({"total": [20.0]}, table="totals", alignment=MetricAlignment("total"))

@target
def raises():
    raise ValueError("no such data")

@target
def none():
    return None
"""


def test_each_target_has_its_points_with_keys_and_replicates(tmp_path: Path) -> None:
    made = StoredRun(tmp_path)
    outputs = made.outputs()
    records = made.run.best[:2]
    trials = [outputs.of_trial(record.trial) or [] for record in records]

    fits = fits_of(made.code, REF, trials)

    assert len(fits) == 2
    for fit, record in zip(fits, records, strict=True):
        assert fit.failure is None
        (table,) = fit.points.values()
        params = record.trial.parameters.params
        assert table.to_pydict() == {
            "key.x": list(range(made.points)),
            "observed": made.observed,
            **{
                f"replicate.{number}": simulated(params, seed, made.points)
                for number, seed in enumerate(record.trial.seeds)
            },
        }


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("raises", "ValueError: no such data"),
        ("none", "returned a NoneType, not a Target"),
        ("metric", "replicate 0 has no table 'totals' for 'metric'"),
    ],
)
def test_targets_that_fail_say_why(tmp_path: Path, target: str, words: str) -> None:
    made = StoredRun(tmp_path)
    (made.bundle / "more.py").write_text(MORE)
    code = made.code
    object.__setattr__(code, "targets", {target: f"more:{target}"})
    trial = made.outputs().of_trial(made.run.records[0].trial) or []

    (fit,) = fits_of(code, REF, [trial])

    assert fit.failure is not None
    assert fit.failure.reason is FailureReason.MODEL
    assert words in fit.failure.message
    assert fit.points == {}


def test_without_trials_no_child_is_started(tmp_path: Path) -> None:
    made = StoredRun(tmp_path)
    (made.bundle / "targets.py").write_text("raise SystemExit")
    assert fits_of(made.code, REF, []) == []
