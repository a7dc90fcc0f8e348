"""What two runs differ in: their plans, and their trials from the first one on that isn't alike."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from modelops.analysis.known_run import KnownRun
from modelops.analysis.run_comparison import compare_runs, failures_by_reason, plan_differences
from modelops.contracts import (
    BundleRef,
    CategoricalParameter,
    FloatParameter,
    IntParameter,
    Limits,
    SearchSpace,
    TrialStatus,
    UniqueParameterSet,
)
from modelops.runner.records import TrialOutcome, TrialRecord
from stored_run import REF, StoredRun, make_plan

PLAN = make_plan()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {}),
        ({"seed": 8}, {"seed": (7, 8)}),
        ({"limits": Limits(task_timeout=5.0)}, {"limits.task_timeout": (None, 5.0)}),
        ({"options": {"sampler": "tpe"}}, {"options.sampler": ("random", "tpe")}),
        ({"options": {}}, {"options.sampler": ("random", None), "options": (None, {})}),
        ({"bundle_ref": BundleRef("elsewhere", REF.digest)}, {}),
        (
            {
                "space": SearchSpace(
                    {
                        "shift": FloatParameter(-1.0, 1.0),
                        "slope": FloatParameter(0.0, 5.0),
                        "days": IntParameter(1, 9),
                    }
                )
            },
            {
                "space.slope.high": (4.0, 5.0),
                "space.days.type": (None, "int"),
                "space.days.low": (None, 1),
                "space.days.high": (None, 9),
                "space.days.log": (None, False),
            },
        ),
        (
            {
                "space": SearchSpace(
                    {
                        "slope": FloatParameter(0.0, 4.0),
                        "shift": CategoricalParameter((1, True)),
                    }
                )
            },
            {
                "space.shift.type": ("float", "categorical"),
                "space.shift.choices": (None, [1, True]),
                "space.shift.low": (-1.0, None),
                "space.shift.high": (1.0, None),
                "space.shift.log": (False, None),
            },
        ),
    ],
)
def test_what_differs_in_plans_is_named(changes: dict[str, Any], expected: dict[str, Any]) -> None:
    found = plan_differences(PLAN, replace(PLAN, **changes))
    assert {item.path: (item.first, item.second) for item in found} == expected


def with_records(run: KnownRun, number: int, **changes: Any) -> KnownRun:
    records = list(run.records)
    records[number] = replace(records[number], **changes)
    return replace(run, run_id="other", records=tuple(records))


def test_the_first_trial_that_differs_is_found(tmp_path: Path) -> None:
    run = StoredRun(tmp_path).run
    assert compare_runs(run, replace(run, run_id="other")).is_same

    shorter = replace(run, records=run.records[:5])
    found = compare_runs(run, shorter).first_difference
    assert found is not None
    assert (found.trial, found.what, found.second) == (5, "missing", None)

    failed = TrialOutcome(TrialStatus.FAILED, reason="model")
    for outcome in (failed, None):
        found = compare_runs(run, with_records(run, 3, outcome=outcome)).first_difference
        assert found is not None
        assert (found.trial, found.what) == (3, "outcome")

    params = run.records[6].trial.parameters.params
    trial = replace(run.records[2].trial, parameters=UniqueParameterSet.from_dict(params, trial=2))
    found = compare_runs(run, with_records(run, 2, trial=trial)).first_difference
    assert found is not None
    assert (found.trial, found.what) == (2, "parameters")

    trial = replace(run.records[1].trial, seeds=(1, 2))
    found = compare_runs(run, with_records(run, 1, trial=trial)).first_difference
    assert found is not None
    assert (found.trial, found.what) == (1, "seeds")


def test_times_and_words_are_no_difference(tmp_path: Path) -> None:
    run = StoredRun(tmp_path).run
    outcome = run.records[0].outcome
    assert outcome is not None
    later = with_records(run, 0, outcome=replace(outcome, seconds=9.0), ended_at=None)
    assert compare_runs(run, later).first_difference is None


def test_losses_of_other_targets_are_not_alike(tmp_path: Path) -> None:
    run = StoredRun(tmp_path).run
    assert compare_runs(run, replace(run, plan=replace(PLAN, seed=9))).has_same_loss
    for changes in (
        {"targets": ("line", "two")},
        {"bundle_ref": BundleRef("a", f"sha256:{'0' * 64}")},
    ):
        other = replace(run, plan=replace(PLAN, **changes))  # type: ignore[arg-type]
        assert not compare_runs(run, other).has_same_loss


def test_failures_are_counted_by_reason_the_most_frequent_first(tmp_path: Path) -> None:
    run = StoredRun(tmp_path).run
    reasons = ["timeout", "model", "", "model", "crash", "timeout", "model", ""]
    records = [
        TrialRecord(
            record.trial,
            TrialOutcome(TrialStatus.FAILED, reason=reason) if reason else record.outcome,
        )
        for record, reason in zip(run.records, reasons, strict=True)
    ]
    counted = failures_by_reason(replace(run, records=tuple(records)))
    assert list(counted.items()) == [("model", 3), ("timeout", 2), ("crash", 1)]
