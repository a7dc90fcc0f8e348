"""Leases and snapshots, and the order in which algorithms were told of trials."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0002", "0001"


def upgrade() -> None:
    """Make the tables and add the columns."""
    op.add_column("modelops_trials", sa.Column("told", sa.Integer))
    op.add_column("modelops_results", sa.Column("place", sa.Integer))
    op.create_table(
        "modelops_leases",
        sa.Column(
            "run_id", sa.String(128), sa.ForeignKey("modelops_runs.run_id"), primary_key=True
        ),
        sa.Column("fence", sa.Integer, nullable=False),
        sa.Column("holder", sa.Text, nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_table(
        "modelops_snapshots",
        sa.Column(
            "run_id", sa.String(128), sa.ForeignKey("modelops_runs.run_id"), primary_key=True
        ),
        sa.Column("asked", sa.Integer, nullable=False),
        sa.Column("told", sa.Integer, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("state", sa.LargeBinary, nullable=False),
    )
