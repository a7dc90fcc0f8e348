"""The journal's tables. They hold the same on SQLite and on PostgreSQL.

Whatever changes here is a step in `migrations` too, by which journals that are there get it.
"""

import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine.interfaces import Dialect


class UtcTime(sa.TypeDecorator[datetime.datetime]):
    """A moment in UTC. SQLite forgets the time zone, so it's given back on reading."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(
        self, value: datetime.datetime | None, dialect: Dialect
    ) -> datetime.datetime | None:
        """Return the moment in UTC; a naive one is refused."""
        if value is not None and value.tzinfo is None:
            raise ValueError(f"{value} has no time zone")
        return None if value is None else value.astimezone(datetime.UTC)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime.datetime | None:
        """Return the moment with its time zone."""
        if value is None:
            return None
        aware: datetime.datetime = value if value.tzinfo else value.replace(tzinfo=datetime.UTC)
        return aware.astimezone(datetime.UTC)


metadata = sa.MetaData()

runs = sa.Table(
    "modelops_runs",
    metadata,
    sa.Column("run_id", sa.String(128), primary_key=True),
    sa.Column("plan", sa.Text, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("message", sa.Text, nullable=False, default=""),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Column("started_at", UtcTime, nullable=False),
    sa.Column("finished_at", UtcTime),
    # Whether another start of a run that ended would change nothing.
    sa.Column("is_settled", sa.Boolean),
    sa.Column("wanted", sa.String(16)),
    sa.Column("wanted_at", UtcTime),
    sa.Column("wanted_by", sa.Text),
)

trials = sa.Table(
    "modelops_trials",
    metadata,
    sa.Column("run_id", sa.ForeignKey(runs.c.run_id), primary_key=True),
    sa.Column("trial", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("param_id", sa.String(64), nullable=False),
    sa.Column("params", sa.Text, nullable=False),
    # Seeds are uint64, which no integer column holds on both databases: a JSON list.
    sa.Column("seeds", sa.Text, nullable=False),
    # How many trials the algorithm had been told before; nothing where that follows from the plan.
    sa.Column("told", sa.Integer),
)

results = sa.Table(
    "modelops_results",
    metadata,
    sa.Column("run_id", sa.String(128), primary_key=True),
    # The primary key is what lets a trial end only once.
    sa.Column("trial", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("loss", sa.Double),
    sa.Column("parts", sa.Text, nullable=False),
    sa.Column("reason", sa.String(32), nullable=False),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("details", sa.Text, nullable=False),
    sa.Column("seconds", sa.Double, nullable=False),
    sa.Column("ended_at", UtcTime, nullable=False),
    # As which one the algorithm was told of it; nothing where that follows from the plan.
    sa.Column("place", sa.Integer),
    sa.ForeignKeyConstraint(["run_id", "trial"], [trials.c.run_id, trials.c.trial]),
    sa.Index("modelops_results_by_loss", "run_id", "status", "loss"),
)

leases = sa.Table(
    "modelops_leases",
    metadata,
    sa.Column("run_id", sa.ForeignKey(runs.c.run_id), primary_key=True),
    # One more with each runner that takes the run over; a writer with an older one is refused.
    sa.Column("fence", sa.Integer, nullable=False),
    sa.Column("holder", sa.Text, nullable=False),
    # By the database's clock.
    sa.Column("expires_at", UtcTime, nullable=False),
)

snapshots = sa.Table(
    "modelops_snapshots",
    metadata,
    sa.Column("run_id", sa.ForeignKey(runs.c.run_id), primary_key=True),
    # How many trials the algorithm had been asked for and told when its state was taken.
    sa.Column("asked", sa.Integer, nullable=False),
    sa.Column("told", sa.Integer, nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("state", sa.LargeBinary, nullable=False),
)
