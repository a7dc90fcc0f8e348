"""Reading the journal: what runs there are, and all that was recorded of one."""

import datetime
import functools
import json
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import sqlalchemy as sa

from modelops.contracts import RunPlan, canonical_json
from modelops.core.errors import JournalError
from modelops.runner import rows, schema
from modelops.runner.database import NO_PATIENCE, Database, Patience
from modelops.runner.progress import RunProgress, RunSummary
from modelops.runner.records import History, TrialRecord
from modelops.runner.schema import runs, trials
from modelops.runner.snapshots import Snapshot

_PAGE = 1000


_P = ParamSpec("_P")
_T = TypeVar("_T")
_J = TypeVar("_J", bound="JournalReader")


def lasting(
    method: Callable[Concatenate[_J, _P], _T],
) -> Callable[Concatenate[_J, _P], _T]:
    """Do a method again, as a whole, when the connection breaks in it."""

    @functools.wraps(method)
    def call(self: _J, /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        return self._database.lasting(lambda: method(self, *args, **kwargs))

    return call


class JournalReader:
    """The journal in one database, for those who read it.

    Guarantees: readers see whole transactions while a runner writes.

    Every method raises JournalError if the database fails. When the connection breaks, it takes
    another one and is done again as a whole, for as long as the patience given to `open` lasts.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    @classmethod
    def open(cls, url: str, patience: Patience = NO_PATIENCE) -> Self:
        """Connect to the database that DATABASE_URL names; its tables are made if need be."""
        database = Database(url, patience)
        database.connect()
        return cls(database)

    @lasting
    def runs(self) -> list[RunSummary]:
        """Return all runs, the newest first."""
        query = rows.SELECT_RUNS.order_by(runs.c.created_at.desc(), runs.c.run_id)
        with self._database.transaction(writing=False) as connection:
            found = connection.execute(query).all()
        return [rows.run_summary(row) for row in found]

    @lasting
    def plan(self, run_id: str) -> RunPlan | None:
        """Return the run's plan, or None if there's no such run."""
        query = sa.select(runs.c.plan).where(runs.c.run_id == run_id)
        with self._database.transaction(writing=False) as connection:
            text = connection.execute(query).scalar()
        return None if text is None else RunPlan.from_json(json.loads(text))

    @lasting
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
            places={
                record.place: record.trial.number for record in records if record.place is not None
            },
        )

    def trials(self, run_id: str) -> Iterator[TrialRecord]:
        """Go through a run's trials by number; none if there's no such run.

        They are read a thousand at a time, so that no transaction stays open meanwhile.
        """
        last = -1
        while True:
            page = self._trials_after(run_id, last)
            for row in page:
                yield rows.trial_record(row)
            if len(page) < _PAGE:
                return
            last = page[-1].trial

    @lasting
    def snapshot(self, run_id: str) -> Snapshot | None:
        """Return the last state of a run's algorithm that was kept, or None."""
        table = schema.snapshots
        query = sa.select(table).where(table.c.run_id == run_id)
        with self._database.transaction(writing=False) as connection:
            row = connection.execute(query).first()
        return None if row is None else Snapshot(row.asked, row.told, row.digest, bytes(row.state))

    @lasting
    def is_settled(self, run_id: str) -> bool:
        """Return whether the run ended in a way that another start wouldn't change."""
        query = sa.select(runs.c.state, runs.c.is_settled).where(runs.c.run_id == run_id)
        with self._database.transaction(writing=False) as connection:
            row = connection.execute(query).first()
        return row is not None and rows.is_settled(row)

    def check_plan(self, run_id: str, plan: RunPlan) -> None:
        """Check that the run, if it's there, is one of this plan.

        Raises:
            JournalError: if the run-id belongs to another plan.
        """
        held = self.plan(run_id)
        if held is not None:
            refuse_other_plan(run_id, held, plan)

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

    @lasting
    def _trials_after(self, run_id: str, last: int) -> Sequence[sa.Row[Any]]:
        query = (
            rows.SELECT_TRIALS.where(trials.c.run_id == run_id, trials.c.trial > last)
            .order_by(trials.c.trial)
            .limit(_PAGE)
        )
        with self._database.transaction(writing=False) as connection:
            return connection.execute(query).all()

    def _record(self, run_id: str, number: int) -> TrialRecord | None:
        query = rows.SELECT_TRIALS.where(trials.c.run_id == run_id, trials.c.trial == number)
        with self._database.transaction(writing=False) as connection:
            row = connection.execute(query).first()
        return None if row is None else rows.trial_record(row)


def refuse_other_plan(run_id: str, held: RunPlan, given: RunPlan) -> None:
    """Check that a run that is there is one of the given plan.

    The same code from another host, or with another signature, is the same plan.

    Raises:
        JournalError: if it is one of another.
    """
    old, new = held.identity(), given.identity()
    differing = [key for key in new if canonical_json(new[key]) != canonical_json(old[key])]
    if differing:
        raise JournalError(
            f"The run-id {run_id!r} belongs to a run of another plan; "
            f"what differs: {', '.join(differing)}.",
            hint="Give the new plan a run-id of its own with --run-id. "
            f"To go on with the run as it is: mops adaptive resume --run-id {run_id}",
        )
