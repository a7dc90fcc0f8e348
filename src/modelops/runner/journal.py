"""The journal: every ask and every result of every run, so that a run can be replayed."""

import datetime
import json
from collections.abc import Iterator
from types import TracebackType
from typing import Self

import sqlalchemy as sa

from modelops.contracts import RunPlan, canonical_json
from modelops.core.errors import JournalError
from modelops.runner import rows
from modelops.runner.database import Database
from modelops.runner.progress import RunProgress, RunState, RunSummary
from modelops.runner.records import History, Trial, TrialOutcome, TrialRecord
from modelops.runner.schema import results, runs, trials

__all__ = ["Journal", "RunProgress", "RunState", "RunSummary"]

_PAGE = 1000


class Journal:
    """The journal in one database, for the runner that writes it and for those who read it.

    Guarantees: a trial ends once (the database refuses a second result); what was written is there
    after the process was killed; readers see whole transactions while a runner writes.

    Every method raises JournalError if the database fails.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    @classmethod
    def open(cls, url: str) -> Self:
        """Connect to the database that DATABASE_URL names; its tables are made if need be."""
        database = Database(url)
        database.connect()
        return cls(database)

    def begin(self, run_id: str, plan: RunPlan, now: datetime.datetime) -> RunState:
        """Enter the run unless it's there, and return the state it is in.

        Raises:
            JournalError: if the run-id belongs to another plan.
        """
        with self._database.transaction(writing=True) as connection:
            known = connection.execute(sa.select(runs).where(runs.c.run_id == run_id)).first()
            if known is None:
                row = rows.run_row(run_id, plan, now)
                connection.execute(sa.insert(runs).values(row))
                return RunState.RUNNING
        _refuse_other_plan(run_id, RunPlan.from_json(json.loads(known.plan)), plan)
        return RunState(known.state)

    def start(self, run_id: str, now: datetime.datetime) -> None:
        """Note that a runner works on the run, for the first time or again."""
        self._set(run_id, state=RunState.RUNNING, message="", started_at=now, finished_at=None)

    def finish(self, run_id: str, state: RunState, message: str, now: datetime.datetime) -> None:
        """Note that the run ended, and why if it failed."""
        self._set(run_id, state=state, message=message, finished_at=now)

    def record_ask(self, run_id: str, trial: Trial) -> None:
        """Write that a trial was asked; the same again changes nothing.

        Raises:
            JournalError: if the journal holds other parameters or seeds for that trial.
        """
        try:
            with self._database.transaction(writing=True) as connection:
                connection.execute(sa.insert(trials).values(rows.trial_row(run_id, trial)))
        except sa.exc.IntegrityError:
            held = self._record(run_id, trial.number)
            if held is None or held.trial != trial:
                raise _contradiction(run_id, trial.number, "other parameters") from None

    def record_result(
        self, run_id: str, number: int, outcome: TrialOutcome, now: datetime.datetime
    ) -> None:
        """Write how a trial ended; the same result again changes nothing.

        Raises:
            JournalError: if the journal holds another result, or the trial was never asked.
        """
        try:
            with self._database.transaction(writing=True) as connection:
                row = rows.result_row(run_id, number, outcome, now)
                connection.execute(sa.insert(results).values(row))
        except sa.exc.IntegrityError:
            held = self._record(run_id, number)
            if held is None:
                raise JournalError(
                    f"Run {run_id!r} has a result for trial {number}, which was never asked."
                ) from None
            if held.outcome is None or not held.outcome.same_result(outcome):
                raise _contradiction(run_id, number, "another result") from None

    def history(self, run_id: str) -> History:
        """Return all that was recorded of a run, to be replayed."""
        records = list(self.trials(run_id))
        return History(
            asked={record.trial.number: record.trial for record in records},
            ended={
                record.trial.number: record.outcome
                for record in records
                if record.outcome is not None
            },
        )

    def trials(self, run_id: str) -> Iterator[TrialRecord]:
        """Go through a run's trials by number; none if there's no such run.

        They are read a thousand at a time, so that no transaction stays open meanwhile.
        """
        last = -1
        while True:
            query = (
                rows.SELECT_TRIALS.where(trials.c.run_id == run_id, trials.c.trial > last)
                .order_by(trials.c.trial)
                .limit(_PAGE)
            )
            with self._database.transaction(writing=False) as connection:
                page = connection.execute(query).all()
            for row in page:
                yield rows.trial_record(row)
            if len(page) < _PAGE:
                return
            last = page[-1].trial

    def runs(self) -> list[RunSummary]:
        """Return all runs, the newest first."""
        query = rows.SELECT_RUNS.order_by(runs.c.created_at.desc(), runs.c.run_id)
        with self._database.transaction(writing=False) as connection:
            found = connection.execute(query).all()
        return [rows.run_summary(row) for row in found]

    def plan(self, run_id: str) -> RunPlan | None:
        """Return the run's plan, or None if there's no such run."""
        query = sa.select(runs.c.plan).where(runs.c.run_id == run_id)
        with self._database.transaction(writing=False) as connection:
            text = connection.execute(query).scalar()
        return None if text is None else RunPlan.from_json(json.loads(text))

    def progress(self, run_id: str, now: datetime.datetime | None = None) -> RunProgress | None:
        """Return how far a run has come, or None if there's no such run.

        The speed of a run that goes on is that up to `now`, the present moment by default.
        """
        moment = now or datetime.datetime.now(datetime.UTC)
        with self._database.transaction(writing=False) as connection:
            row = connection.execute(rows.SELECT_RUNS.where(runs.c.run_id == run_id)).first()
            if row is None:
                return None
            best = connection.execute(rows.select_best(run_id)).first()
            recent = connection.execute(rows.count_since(run_id, row.started_at)).scalar_one()
        return rows.run_progress(row, best, recent, moment)

    def delete(self, run_id: str) -> bool:
        """Delete a run with all its trials; return False if there's no such run."""
        with self._database.transaction(writing=True) as connection:
            for table in (results, trials):
                connection.execute(sa.delete(table).where(table.c.run_id == run_id))
            return connection.execute(sa.delete(runs).where(runs.c.run_id == run_id)).rowcount > 0

    def close(self) -> None:
        """Close the connection. May be called twice."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _record(self, run_id: str, number: int) -> TrialRecord | None:
        query = rows.SELECT_TRIALS.where(trials.c.run_id == run_id, trials.c.trial == number)
        with self._database.transaction(writing=False) as connection:
            row = connection.execute(query).first()
        return None if row is None else rows.trial_record(row)

    def _set(self, run_id: str, *, state: RunState, **values: object) -> None:
        statement = sa.update(runs).where(runs.c.run_id == run_id)
        with self._database.transaction(writing=True) as connection:
            changed = connection.execute(statement.values(state=state.value, **values))
            if changed.rowcount == 0:
                raise JournalError(f"The journal has no run {run_id!r}.")


def _refuse_other_plan(run_id: str, held: RunPlan, given: RunPlan) -> None:
    """The same code from another host is the same plan, so only the digest is compared."""
    old = {**held.to_json(), "bundle_ref": held.bundle_ref.digest}
    new = {**given.to_json(), "bundle_ref": given.bundle_ref.digest}
    differing = [key for key in new if canonical_json(new[key]) != canonical_json(old[key])]
    if differing:
        raise JournalError(
            f"The run-id {run_id!r} belongs to a run of another plan; "
            f"what differs: {', '.join(differing)}.",
            hint="Give the new plan a run-id of its own with --run-id.",
        )


def _contradiction(run_id: str, number: int, what: str) -> JournalError:
    return JournalError(
        f"The journal holds {what} for trial {number} of run {run_id!r}.",
        hint="Two runners may be at work on one run-id; give one of them another --run-id.",
    )
