"""What journals had before their version was written down: runs, trials, results.

The columns of `runs` after `finished_at` came one after the other; a journal may lack them.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0001", None

_LATER: dict[str, sa.types.TypeEngine[Any]] = {
    "is_settled": sa.Boolean(),
    "wanted": sa.String(16),
    "wanted_at": sa.DateTime(timezone=True),
    "wanted_by": sa.Text(),
}


def upgrade() -> None:
    """Add the columns that are lacking."""
    there = {column["name"] for column in sa.inspect(op.get_bind()).get_columns("modelops_runs")}
    for name, kind in _LATER.items():
        if name not in there:
            op.add_column("modelops_runs", sa.Column(name, kind))
