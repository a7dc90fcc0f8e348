"""The rows of leases: taken, renewed and checked inside the transactions of the journal."""

import datetime
from dataclasses import dataclass

import sqlalchemy as sa

from modelops.core.errors import JournalError
from modelops.runner.holder import Holder
from modelops.runner.schema import UtcTime, leases

_OF_RUN = leases.c.run_id == sa.bindparam("of")
_SELECT = sa.select(leases).where(_OF_RUN)
# Made once, as it's asked with each record: to make a statement takes longer than to carry it out.
_SELECT_FENCE = sa.select(leases.c.fence).where(_OF_RUN)
_HOLD_FENCE = _SELECT_FENCE.with_for_update(read=True)


class LeaseHeldError(JournalError):
    """Another runner carries the run out.

    Attributes:
        expires_at: when its lease ends, by the database's clock, unless it's renewed.
    """

    def __init__(self, run_id: str, holder: Holder, expires_at: datetime.datetime) -> None:
        super().__init__(
            f"The run {run_id} is carried out already, by {holder}.",
            hint=f"Follow it: mops adaptive status --watch --run-id {run_id}. "
            "A runner that is gone, on another machine, loses the run within half a minute.",
        )
        self.expires_at = expires_at


class LeaseLostError(JournalError):
    """Another runner has taken the run over."""


@dataclass(frozen=True)
class Lease:
    """That one may write of a run; `fence` tells its holder from those before and after."""

    run_id: str
    fence: int


def take(connection: sa.Connection, run_id: str, holder: Holder, seconds: float) -> Lease:
    """Take a run for so many seconds, in a transaction that writes.

    Raises:
        LeaseHeldError: if another has it whose lease lasts, and who isn't known to be dead.
        IntegrityError: if somebody else was first by a moment, or there's no such run.
    """
    now = _now(connection)
    row = connection.execute(_SELECT.with_for_update(), {"of": run_id}).first()
    lease = Lease(run_id, 1 if row is None else row.fence + 1)
    values = {"fence": lease.fence, "holder": holder.to_json(), "expires_at": _end(now, seconds)}
    if row is None:
        connection.execute(sa.insert(leases).values(run_id=run_id, **values))
        return lease
    held_by = Holder.from_json(row.holder)
    if row.expires_at > now and held_by != holder and not held_by.is_dead:
        raise LeaseHeldError(run_id, held_by, row.expires_at)
    connection.execute(sa.update(leases).where(leases.c.run_id == run_id).values(**values))
    return lease


def extend(connection: sa.Connection, lease: Lease, seconds: float) -> None:
    """Let a lease last for so many seconds from now, in a transaction that writes.

    Raises:
        LeaseLostError: if another has taken the run over.
    """
    is_ours = sa.and_(leases.c.run_id == lease.run_id, leases.c.fence == lease.fence)
    values = {"expires_at": _end(_now(connection), seconds)}
    if connection.execute(sa.update(leases).where(is_ours).values(**values)).rowcount == 0:
        raise _lost(lease)


def check(connection: sa.Connection, lease: Lease, *, writing: bool) -> None:
    """Check that a lease is still the run's; one that has expired is until somebody takes the run.

    In a transaction that writes it stays so until that ends: whoever takes the run over waits.

    Raises:
        LeaseLostError: if another has taken the run over.
    """
    query = _HOLD_FENCE if writing else _SELECT_FENCE
    if connection.execute(query, {"of": lease.run_id}).scalar() != lease.fence:
        raise _lost(lease)


def _lost(lease: Lease) -> LeaseLostError:
    return LeaseLostError(
        f"Another runner has taken the run {lease.run_id} over.",
        hint="This one was away for too long. The other goes on from the journal.",
    )


def _now(connection: sa.Connection) -> datetime.datetime:
    """Return the database's time; SQLite's is that of this machine, as are all who use it."""
    if connection.dialect.name == "sqlite":
        return datetime.datetime.now(datetime.UTC)
    now: datetime.datetime = connection.execute(
        sa.select(sa.func.clock_timestamp(type_=UtcTime))
    ).scalar_one()
    return now


def _end(now: datetime.datetime, seconds: float) -> datetime.datetime:
    return now + datetime.timedelta(seconds=seconds)
