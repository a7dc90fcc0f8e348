"""The journal's connection: one, kept, to SQLite or PostgreSQL."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event

from modelops.core.errors import JournalError
from modelops.runner import schema

_BUSY_TIMEOUT = 30.0
"""Seconds that SQLite waits for another writer before it gives up."""


class Database:
    """One connection to the journal's database, with transactions to read or to write.

    It belongs to one thread at a time. No error that it raises shows a password.
    """

    def __init__(self, url: str) -> None:
        self._url = _parse(url)
        self._engine = _engine(self._url)
        self._connection: sa.Connection | None = None

    @property
    def label(self) -> str:
        """The database's address for people, without the password and without any query."""
        return self._url.set(query={}).render_as_string(hide_password=True)

    def connect(self) -> None:
        """Connect, and make the tables that aren't there yet.

        Raises:
            JournalError: if the database can't be reached.
        """
        try:
            self._connection = self._engine.connect()
            with self.transaction(writing=True) as connection:
                schema.metadata.create_all(connection)
        except JournalError:
            self.close()
            raise
        except sa.exc.SQLAlchemyError as error:
            # `from None`: what a driver says may hold the password, and a chain would show it.
            raise self._error("can't be opened", error) from None

    @contextmanager
    def transaction(self, *, writing: bool) -> Iterator[sa.Connection]:
        """Give the connection inside a transaction, which an exception rolls back.

        Raises:
            JournalError: if the database refuses; IntegrityError passes through.
        """
        if self._connection is None:
            raise JournalError("The journal is closed.")
        self._connection.execution_options(modelops_writing=writing)
        try:
            with self._connection.begin():
                yield self._connection
        except sa.exc.IntegrityError:
            raise
        except sa.exc.SQLAlchemyError as error:
            raise self._error("can't be used", error) from None

    def close(self) -> None:
        """Close the connection. May be called twice."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._engine.dispose()

    def _error(self, what: str, error: sa.exc.SQLAlchemyError) -> JournalError:
        cause = getattr(error, "orig", None) or error
        text = str(cause).strip()
        if self._url.password:
            text = text.replace(str(self._url.password), "***")
        return JournalError(
            f"The journal {self.label} {what}: {text}",
            hint="Check that DATABASE_URL names a database that can be reached and written.",
        )


def _parse(url: str) -> sa.URL:
    try:
        parsed = sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError):
        # The text isn't shown, in the chain neither: it may hold a password.
        raise JournalError(
            "DATABASE_URL isn't a database's address.",
            hint="Write sqlite:////absolute/path.db or postgresql://user:password@host/name.",
        ) from None
    if parsed.drivername == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")
    return parsed


def _engine(url: sa.URL) -> sa.Engine:
    backend = url.get_backend_name()
    if backend not in ("sqlite", "postgresql"):
        raise JournalError(
            f"The journal can't be kept on {backend}.", hint="Use SQLite or PostgreSQL."
        )
    if backend == "sqlite":
        engine = sa.create_engine(url, connect_args={"timeout": _BUSY_TIMEOUT})
        event.listen(engine, "connect", _set_up_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    try:
        return sa.create_engine(url)
    except ModuleNotFoundError as error:
        raise JournalError(
            f"PostgreSQL needs the package {error.name}, which isn't installed.",
            hint='Install it with: pip install "modelops[postgres]"',
        ) from None
    except sa.exc.NoSuchModuleError:
        raise JournalError(
            f"There is no database driver {url.drivername!r}.",
            hint="Leave the driver out of DATABASE_URL: postgresql://user:password@host/name.",
        ) from None


def _set_up_sqlite(connection: Any, _record: object) -> None:
    # Python's driver begins transactions by itself, and too late for a consistent read.
    connection.isolation_level = None
    cursor = connection.cursor()
    # WAL: others read while the runner writes.
    cursor.execute("PRAGMA journal_mode=WAL")
    # NORMAL: a killed process loses nothing. A power cut may lose the last commits, never the
    # file's consistency; those trials are asked and simulated again with the same outcome.
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _begin_sqlite(connection: sa.Connection) -> None:
    # IMMEDIATE: a transaction that will write waits for its turn here, not in its middle, where
    # SQLite would answer "database is locked" at once.
    writing = connection.get_execution_options().get("modelops_writing", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")
