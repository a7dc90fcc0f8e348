"""Bringing a journal's tables to this version, whichever it was written with.

A new database gets all tables at once. One that is there is taken through the steps in
`migrations`, by Alembic, which is imported for that alone.
"""

from pathlib import Path
from typing import Any

import sqlalchemy as sa

from modelops.core.errors import JournalError
from modelops.runner.schema import metadata, runs

VERSION = "0002"
"""The last of the steps."""

# Other programs may keep theirs in the same database.
VERSION_TABLE = "modelops_version"
_version = sa.Table(
    VERSION_TABLE,
    sa.MetaData(),
    sa.Column("version_num", sa.String(32), primary_key=True),
)

# Any number that nobody else takes; it's a lock on the making of these tables.
_PREPARING = 0x6D6F7073


def is_current(connection: sa.Connection) -> bool:
    """Return whether there is nothing to do."""
    return _version_of(connection) == VERSION


def prepare(connection: sa.Connection) -> None:
    """Make the tables, or bring them to this version, in a transaction that is to write.

    Two may do it at once: one waits for the other.

    Raises:
        JournalError: if a newer version of ModelOps has written the journal.
    """
    # On SQLite transactions that write wait for each other by themselves.
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_PREPARING)))
    version = _version_of(connection)
    if version == VERSION:
        return
    if version is not None and version > VERSION:
        raise JournalError(
            f"The journal was written by a newer version of ModelOps (its tables are {version}, "
            f"this one knows {VERSION}).",
            hint="Install that version or a newer one; no older one can go on with its runs.",
        )
    if version is None and not sa.inspect(connection).has_table(runs.name):
        metadata.create_all(connection)
        _version.create(connection)
        connection.execute(sa.insert(_version).values(version_num=VERSION))
        return
    _upgrade(connection)


def alembic_config(connection: sa.Connection | None = None) -> Any:
    """Return what Alembic is told of our steps."""
    from alembic.config import Config  # noqa: PLC0415 - rarely needed

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    config.attributes["connection"] = connection
    config.attributes["version_table"] = VERSION_TABLE
    return config


def _version_of(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table(VERSION_TABLE):
        return None
    found: str | None = connection.execute(sa.select(_version.c.version_num)).scalar()
    return found


def _upgrade(connection: sa.Connection) -> None:
    from alembic import command  # noqa: PLC0415

    command.upgrade(alembic_config(connection), VERSION)
