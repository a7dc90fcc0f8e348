"""The journal: every ask and every result of every run, so that a run can be replayed."""

import datetime
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from typing import Any

import sqlalchemy as sa

from modelops.contracts import RunPlan
from modelops.core.errors import JournalError, NotThereError, RunStateError
from modelops.runner import leases, rows, schema
from modelops.runner.database import Database
from modelops.runner.holder import Holder
from modelops.runner.journal_reading import JournalReader, lasting, refuse_other_plan
from modelops.runner.leases import Lease
from modelops.runner.progress import (
    RunProgress,
    RunState,
    RunSummary,
    Wanted,
    refusal,
    seen_state,
)
from modelops.runner.records import EndedTrial, Trial, TrialOutcome
from modelops.runner.schema import results, runs, trials
from modelops.runner.snapshots import Snapshot

__all__ = ["Journal", "RunProgress", "RunState", "RunSummary", "Wanted"]

# Made once: to make a statement takes longer than to carry it out.
_INSERT_TRIALS, _INSERT_RESULTS = sa.insert(trials), sa.insert(results)
_SELECT_WANTED = sa.select(runs.c.wanted).where(runs.c.run_id == sa.bindparam("of"))


class Journal(JournalReader):
    """The journal in one database, for the runner that writes it and for those who read it.

    Guarantees: a trial ends once (the database refuses a second result); what was written is there
    after the process was killed.

    Whoever has acquired a run writes of it for as long as nobody else has: then every write raises
    LeaseLostError, and so does `wanted`.
    """

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._leases: dict[str, Lease] = {}

    @lasting
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
        refuse_other_plan(run_id, RunPlan.from_json(json.loads(known.plan)), plan)
        return RunState(known.state)

    @lasting
    def acquire(self, run_id: str, holder: Holder, seconds: float) -> Lease:
        """Take a run, so that nobody else writes of it through `acquire` of their own.

        Raises:
            LeaseHeldError: if another has it, whose lease lasts and who isn't known to be dead.
            JournalError: if there's no such run.
        """
        try:
            with self._database.transaction(writing=True) as connection:
                lease = leases.take(connection, run_id, holder, seconds)
        except sa.exc.IntegrityError:
            # Somebody else was first, by a moment; or there's no such run.
            if self.plan(run_id) is None:
                raise JournalError(f"The journal has no run {run_id!r}.") from None
            with self._database.transaction(writing=True) as connection:
                lease = leases.take(connection, run_id, holder, seconds)
        self._leases[run_id] = lease
        return lease

    @lasting
    def renew(self, lease: Lease, seconds: float) -> None:
        """Let a lease last for so many seconds from now.

        Raises:
            LeaseLostError: if another has taken the run over.
        """
        with self._database.transaction(writing=True) as connection:
            leases.extend(connection, lease, seconds)

    @lasting
    def release(self, lease: Lease) -> None:
        """Let a lease end now.

        Raises:
            LeaseLostError: if another has taken the run over.
        """
        self._leases.pop(lease.run_id, None)
        with self._database.transaction(writing=True) as connection:
            leases.extend(connection, lease, 0.0)

    @lasting
    def start(self, run_id: str, now: datetime.datetime) -> None:
        """Note that a runner works on the run, for the first time or again."""
        self._set(
            run_id,
            state=RunState.RUNNING,
            message="",
            started_at=now,
            finished_at=None,
            is_settled=None,
        )

    @lasting
    def finish(
        self,
        run_id: str,
        state: RunState,
        message: str,
        now: datetime.datetime,
        *,
        is_settled: bool = True,
    ) -> None:
        """Note that the run ended, and why if it failed; unless that's settled, it may go on."""
        self._set(run_id, state=state, message=message, finished_at=now, is_settled=is_settled)

    @lasting
    def pause(self, run_id: str) -> None:
        """Note that nothing is under way and the runner waits."""
        self._set(run_id, state=RunState.PAUSED)

    @lasting
    def resume(self, run_id: str, now: datetime.datetime) -> None:
        """Note that a run which was paused goes on."""
        self._set(run_id, state=RunState.RUNNING, started_at=now)

    @lasting
    def want(self, run_id: str, wanted: Wanted, by: str, now: datetime.datetime) -> RunState:
        """Write what somebody wants of the run, for its runner to see; return the state before.

        To want a cancelled run to run opens it again: a runner that is started goes on with it.

        Raises:
            NotThereError: if there's no such run.
            RunStateError: if it can't be had any more.
        """
        with self._database.transaction(writing=True) as connection:
            query = sa.select(runs).where(runs.c.run_id == run_id).with_for_update()
            row = connection.execute(query).first()
            if row is None:
                raise NotThereError(f"There is no run {run_id!r}.", hint="See: mops adaptive list")
            noted = RunState(row.state)
            state = seen_state(noted, rows.wanted_of(row))
            reason = refusal(state, wanted, is_settled=rows.is_settled(row))
            if reason is not None:
                raise RunStateError(f"The run {run_id} {reason}.")
            values: dict[str, object] = {}
            if rows.wanted_of(row) is not wanted:
                values = {"wanted": wanted.value, "wanted_at": now, "wanted_by": by}
            if noted is RunState.CANCELLED and wanted is Wanted.RUNNING:
                values |= {"state": RunState.RUNNING.value, "finished_at": None, "is_settled": None}
            if values:
                connection.execute(sa.update(runs).where(runs.c.run_id == run_id).values(values))
        return state

    @lasting
    def wanted(self, run_id: str) -> Wanted:
        """Return what is wanted of the run."""
        with self._database.transaction(writing=False) as connection:
            self._check_lease(connection, run_id, writing=False)
            return _wanted(connection, run_id)

    def record_ask(self, run_id: str, trial: Trial) -> Wanted:
        """Write that a trial was asked; see `record`."""
        return self.record(run_id, asked=[trial])

    def record_result(
        self, run_id: str, number: int, outcome: TrialOutcome, now: datetime.datetime
    ) -> Wanted:
        """Write how a trial ended; see `record`."""
        return self.record(run_id, ended=[EndedTrial(number, outcome, now)])

    @lasting
    def record(
        self, run_id: str, *, asked: Sequence[Trial] = (), ended: Sequence[EndedTrial] = ()
    ) -> Wanted:
        """Write which trials were asked and how others ended; the same again changes nothing.

        Returns what is wanted of the run by now.

        Raises:
            JournalError: if the journal holds other parameters, seeds or results for one of them,
                or one that ended was never asked.
        """
        try:
            with self._writing(run_id) as connection:
                _insert(
                    connection, _INSERT_TRIALS, [rows.trial_row(run_id, each) for each in asked]
                )
                _insert(
                    connection, _INSERT_RESULTS, [rows.result_row(run_id, each) for each in ended]
                )
                return _wanted(connection, run_id)
        except sa.exc.IntegrityError:
            # One is there already: each by itself shows which, and whether it's the same.
            for trial in asked:
                self._record_ask(run_id, trial)
            for each in ended:
                self._record_result(run_id, each)
        return self.wanted(run_id)

    @lasting
    def save_snapshot(self, run_id: str, snapshot: Snapshot) -> None:
        """Keep the state of a run's algorithm in the place of the one before."""
        values = {item.name: getattr(snapshot, item.name) for item in fields(Snapshot)}
        table = schema.snapshots
        with self._writing(run_id) as connection:
            connection.execute(sa.delete(table).where(table.c.run_id == run_id))
            connection.execute(sa.insert(table).values(run_id=run_id, **values))

    @lasting
    def delete(self, run_id: str) -> bool:
        """Delete a run with all its trials; return False if there's no such run."""
        with self._database.transaction(writing=True) as connection:
            for table in (schema.snapshots, schema.leases, results, trials):
                connection.execute(sa.delete(table).where(table.c.run_id == run_id))
            return connection.execute(sa.delete(runs).where(runs.c.run_id == run_id)).rowcount > 0

    @contextmanager
    def _writing(self, run_id: str) -> Iterator[sa.Connection]:
        """Give a transaction that writes of a run, which nobody else may have taken over."""
        with self._database.transaction(writing=True) as connection:
            self._check_lease(connection, run_id, writing=True)
            yield connection

    def _check_lease(self, connection: sa.Connection, run_id: str, *, writing: bool) -> None:
        lease = self._leases.get(run_id)
        if lease is not None:
            leases.check(connection, lease, writing=writing)

    def _record_ask(self, run_id: str, trial: Trial) -> None:
        try:
            with self._writing(run_id) as connection:
                _insert(connection, _INSERT_TRIALS, [rows.trial_row(run_id, trial)])
        except sa.exc.IntegrityError:
            held = self._record(run_id, trial.number)
            if held is None or held.trial != trial:
                raise _contradiction(run_id, trial.number, "other parameters") from None

    def _record_result(self, run_id: str, ended: EndedTrial) -> None:
        try:
            with self._writing(run_id) as connection:
                _insert(connection, _INSERT_RESULTS, [rows.result_row(run_id, ended)])
        except sa.exc.IntegrityError:
            held = self._record(run_id, ended.number)
            if held is None:
                raise JournalError(
                    f"Run {run_id!r} has a result for trial {ended.number}, which was never asked."
                ) from None
            if held.outcome is None or not held.outcome.same_result(ended.outcome):
                raise _contradiction(run_id, ended.number, "another result") from None

    def _set(self, run_id: str, *, state: RunState, **values: object) -> None:
        statement = sa.update(runs).where(runs.c.run_id == run_id)
        with self._writing(run_id) as connection:
            changed = connection.execute(statement.values(state=state.value, **values))
            if changed.rowcount == 0:
                raise JournalError(f"The journal has no run {run_id!r}.")


def _insert(connection: sa.Connection, statement: sa.Insert, values: list[dict[str, Any]]) -> None:
    if values:
        connection.execute(statement, values)


def _wanted(connection: sa.Connection, run_id: str) -> Wanted:
    row = connection.execute(_SELECT_WANTED, {"of": run_id}).first()
    if row is None:
        raise JournalError(f"The journal has no run {run_id!r}.")
    return rows.wanted_of(row)


def _contradiction(run_id: str, number: int, what: str) -> JournalError:
    return JournalError(
        f"The journal holds {what} for trial {number} of run {run_id!r}.",
        hint="Two runners may be at work on one run-id; give one of them another --run-id.",
    )
