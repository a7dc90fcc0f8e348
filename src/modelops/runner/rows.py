"""Between the journal's rows and the records that the rest of the run works with."""

import datetime
import json
from typing import Any

import sqlalchemy as sa

from modelops.contracts import RunPlan, TrialStatus, UniqueParameterSet
from modelops.runner.progress import RunProgress, RunState, RunSummary, Wanted, seen_state
from modelops.runner.records import EndedTrial, Trial, TrialOutcome, TrialRecord
from modelops.runner.schema import results, runs, trials

_COMPLETED = TrialStatus.COMPLETED.value
_SAME_TRIAL = sa.and_(results.c.run_id == trials.c.run_id, results.c.trial == trials.c.trial)

SELECT_TRIALS = sa.select(
    trials, *(column for column in results.c if column.name not in ("run_id", "trial"))
).select_from(trials.outerjoin(results, _SAME_TRIAL))
"""Each asked trial with its result; the result's columns are NULL while it's under way."""


def _count(table: sa.Table, *conditions: sa.ColumnElement[bool]) -> sa.ScalarSelect[int]:
    query = sa.select(sa.func.count()).select_from(table)
    return query.where(table.c.run_id == runs.c.run_id, *conditions).scalar_subquery()


SELECT_RUNS = sa.select(
    runs,
    _count(trials).label("asked"),
    _count(results, results.c.status == _COMPLETED).label("completed"),
    _count(results, results.c.status != _COMPLETED).label("failed"),
    sa.select(sa.func.min(results.c.loss))
    .where(results.c.run_id == runs.c.run_id, results.c.status == _COMPLETED)
    .scalar_subquery()
    .label("best_loss"),
)
"""Each run with its counts and its smallest loss."""


def select_best(run_id: str) -> sa.Select[Any]:
    """Return the query for the trial of the smallest loss, the first of equals."""
    return (
        SELECT_TRIALS.where(trials.c.run_id == run_id, results.c.status == _COMPLETED)
        .order_by(results.c.loss, trials.c.trial)
        .limit(1)
    )


def count_since(run_id: str, moment: datetime.datetime) -> sa.Select[int]:
    """Return the query for how many trials of a run ended at `moment` or later."""
    query = sa.select(sa.func.count()).select_from(results)
    return query.where(results.c.run_id == run_id, results.c.ended_at >= moment)


def run_row(run_id: str, plan: RunPlan, now: datetime.datetime) -> dict[str, Any]:
    """Return the row of a run that begins."""
    return {
        "run_id": run_id,
        "plan": _json(plan.to_json()),
        "state": RunState.RUNNING.value,
        "created_at": now,
        "started_at": now,
    }


def trial_row(run_id: str, trial: Trial) -> dict[str, Any]:
    """Return the row of an asked trial."""
    return {
        "run_id": run_id,
        "trial": trial.number,
        "param_id": trial.parameters.param_id,
        "params": _json(dict(trial.parameters.params)),
        "seeds": _json(list(trial.seeds)),
        "told": trial.told,
    }


def result_row(run_id: str, ended: EndedTrial) -> dict[str, Any]:
    """Return the row of a trial that ended."""
    outcome = ended.outcome
    return {
        "run_id": run_id,
        "trial": ended.number,
        "status": outcome.status.value,
        "loss": outcome.loss,
        "parts": _json(dict(outcome.parts)),
        # PostgreSQL's text holds no NUL, and models may write one.
        "reason": outcome.reason,
        "message": outcome.message.replace("\0", "\\0"),
        "details": outcome.details.replace("\0", "\\0"),
        "seconds": outcome.seconds,
        "ended_at": ended.ended_at,
        "place": ended.place,
    }


def trial_record(row: Any) -> TrialRecord:
    """Return the record of a row of SELECT_TRIALS."""
    parameters = UniqueParameterSet(json.loads(row.params), row.param_id, row.trial)
    trial = Trial(parameters, tuple(json.loads(row.seeds)), row.told)
    return TrialRecord(trial, _outcome(row), row.ended_at, row.place)


def run_summary(row: Any) -> RunSummary:
    """Return the summary of a row of SELECT_RUNS."""
    return RunSummary(**_summary(row))


def run_progress(row: Any, best: Any, recent: int, now: datetime.datetime) -> RunProgress:
    """Return the progress of a row of SELECT_RUNS; `recent` is how many ended since the start."""
    seconds = ((row.finished_at or now) - row.started_at).total_seconds()
    record = None if best is None else trial_record(best)
    return RunProgress(
        **_summary(row),
        best_trial=None if record is None else record.trial.number,
        best_params=None if record is None else record.trial.parameters.params,
        trials_per_second=recent / seconds if seconds > 0 else 0.0,
    )


def wanted_of(row: Any) -> Wanted:
    """Return what is wanted of a row's run: that it runs, unless somebody said otherwise."""
    return Wanted.RUNNING if row.wanted is None else Wanted(row.wanted)


def is_settled(row: Any) -> bool:
    """Return whether another start of a row's run would change nothing."""
    ended = RunState(row.state) in (RunState.FINISHED, RunState.CANCELLED)
    return ended or bool(row.is_settled)


def _summary(row: Any) -> dict[str, Any]:
    plan = json.loads(row.plan)
    same = ("run_id", "asked", "completed", "failed", "best_loss", "message")
    moments = ("created_at", "started_at", "finished_at", "wanted_at")
    wanted = wanted_of(row)
    return {
        **{name: getattr(row, name) for name in (*same, *moments, "wanted_by")},
        "algorithm": plan["algorithm"],
        "n_trials": plan["n_trials"],
        "state": seen_state(RunState(row.state), wanted),
        "is_settled": is_settled(row),
        "wanted": wanted,
    }


def _outcome(row: Any) -> TrialOutcome | None:
    if row.status is None:
        return None
    return TrialOutcome(
        TrialStatus(row.status),
        loss=row.loss,
        parts=json.loads(row.parts),
        reason=row.reason,
        message=row.message,
        details=row.details,
        seconds=row.seconds,
    )


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
