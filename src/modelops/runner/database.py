"""The journal's connection: one, kept, to SQLite or PostgreSQL."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
import stamina
from sqlalchemy import event

from modelops.core.errors import JournalError
from modelops.runner import migration
from modelops.runner.volumes import network_volume

_BUSY_TIMEOUT = 30.0
"""Seconds that SQLite waits for another writer before it gives up."""
# A network that drops packets says nothing: the system finds out after about a minute.
_POSTGRES_PARAMETERS = {
    "connect_timeout": "10",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
}
_BEGIN_SECONDS = 30.0
"""How long who has patience waits for the first connection: a new pod may be refused for seconds,
until the network's policies know of it. One that never comes isn't worth minutes."""
_SILENT = logging.NullHandler()

_T = TypeVar("_T")


class JournalLostError(JournalError):
    """The connection to the journal broke; what was written is there."""


@dataclass(frozen=True)
class Patience:
    """What to do when the connection breaks.

    Attributes:
        seconds: how long to try for another one.
        is_over: whether to stop trying before that.
        on_lost: is told, once, why the connection broke, and for how many seconds it's tried.
        on_back: is told when there is another one.
    """

    seconds: float = 0.0
    is_over: Callable[[], bool] = lambda: False
    on_lost: Callable[[str, float], None] = lambda _reason, _seconds: None
    on_back: Callable[[], None] = lambda: None


NO_PATIENCE = Patience()


class Database:
    """One connection to the journal's database, with transactions to read or to write.

    It belongs to one thread at a time. No error that it raises shows a password. After a connection
    broke, the next transaction takes another one.
    """

    def __init__(self, url: str, patience: Patience = NO_PATIENCE) -> None:
        self._url = _parse(url)
        self._engine = _engine(self._url)
        self._patience = patience
        self._connection: sa.Connection | None = None
        self._is_open = False

    @property
    def label(self) -> str:
        """The database's address for people, without the password and without any query."""
        return self._url.set(query={}).render_as_string(hide_password=True)

    def connect(self) -> None:
        """Connect, and make the tables, or bring them to this version.

        Raises:
            JournalLostError: if nothing answers there, not even after some patience.
            JournalError: if the database refuses, lies where several machines may write to a file,
                or was written by a newer version.
        """
        self._refuse_network_volume()
        self._is_open = True
        try:
            self.lasting(self._open, seconds=min(_BEGIN_SECONDS, self._patience.seconds))
        except JournalError:
            self.close()
            raise

    @contextmanager
    def transaction(self, *, writing: bool) -> Iterator[sa.Connection]:
        """Give the connection inside a transaction, which an exception rolls back.

        Raises:
            JournalLostError: if the connection breaks, or can't be had again. Whether a commit that
                was under way was done isn't known.
            JournalError: if the database refuses; IntegrityError passes through.
        """
        connection = self._connected()
        connection.execution_options(modelops_writing=writing)
        try:
            with connection.begin():
                yield connection
        except sa.exc.IntegrityError:
            raise
        except sa.exc.SQLAlchemyError as error:
            if isinstance(error, sa.exc.DBAPIError) and error.connection_invalidated:
                raise self._lost(error) from None
            raise self._error("can't be used", error) from None

    def lasting(self, work: Callable[[], _T], seconds: float | None = None) -> _T:
        """Return what `work` returns; when the connection breaks, take another and do it again.

        All of it is done again, so it must be whole transactions, and the same after the first of
        them has been committed as before.

        Args:
            work: uses the connection.
            seconds: how long to try; None for as long as the patience lasts.

        Raises:
            JournalLostError: if there is no connection for as long as the patience lasts; from then
                on nothing waits any more.
        """
        try:
            return work()
        except JournalLostError as lost:
            if not self._patience.seconds:
                raise
            seconds = self._patience.seconds if seconds is None else seconds
            self._patience.on_lost(lost.message, seconds)
        # Who is patient says by themselves what they wait for.
        logging.getLogger("stamina").addHandler(_SILENT)
        patience = self._patience
        try:
            for attempt in stamina.retry_context(
                on=lambda error: isinstance(error, JournalLostError) and not patience.is_over(),
                attempts=None,
                timeout=seconds,
                wait_max=2.0,
                wait_jitter=0.5,
            ):
                with attempt:
                    result = work()
        except JournalLostError as error:
            self._patience = NO_PATIENCE
            what = "The run was ended" if patience.is_over() else f"Tried for {seconds:.0f} s"
            raise JournalLostError(
                f"{error.message} {what}.",
                hint="Bring the database back (mops infra up), then start the run again: it goes "
                "on from the journal.",
            ) from None
        patience.on_back()
        return result

    def close(self) -> None:
        """Close the connection. May be called twice."""
        self._is_open = False
        self._drop()

    def _open(self) -> None:
        try:
            if self._connection is None:
                self._connection = self._engine.connect()
            with self.transaction(writing=False) as connection:
                is_current = migration.is_current(connection)
            if not is_current:
                with self.transaction(writing=True) as connection:
                    migration.prepare(connection)
        except sa.exc.SQLAlchemyError as error:
            # `from None`: what a driver says may hold the password, and a chain would show it.
            if self._is_away(error):
                raise self._lost(error) from None
            raise self._error("can't be opened", error) from None

    def _is_away(self, error: sa.exc.SQLAlchemyError) -> bool:
        """Return whether no connection could be made, as opposed to one that was refused for good.

        A server that answers says FATAL, also while it starts or stops.
        """
        is_connecting = self._connection is None and isinstance(error, sa.exc.OperationalError)
        said = str(error)
        return (
            is_connecting
            and self._url.get_backend_name() == "postgresql"
            and ("FATAL" not in said or "the database system is" in said)
        )

    def _refuse_network_volume(self) -> None:
        path = self._url.database
        if self._url.get_backend_name() != "sqlite" or not path or path.startswith(":"):
            return
        kind = network_volume(Path(path))
        if kind is not None:
            raise JournalError(
                f"The journal {self.label} lies on a network volume ({kind}), where SQLite can't "
                "keep two machines from writing at once.",
                hint="Keep it on a disk of this machine, or use PostgreSQL.",
            )

    def _connected(self) -> sa.Connection:
        if not self._is_open:
            raise JournalError("The journal is closed.")
        if self._connection is None:
            try:
                self._connection = self._engine.connect()
            except sa.exc.OperationalError as error:
                raise self._lost(error) from None
        return self._connection

    def _lost(self, error: sa.exc.SQLAlchemyError) -> JournalLostError:
        self._drop()
        described = self._error("can't be reached", error)
        return JournalLostError(described.message, hint=described.hint)

    def _drop(self) -> None:
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
    parameters = {k: v for k, v in _POSTGRES_PARAMETERS.items() if k not in url.query}
    try:
        engine = sa.create_engine(url, connect_args=parameters)
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
    event.listen(engine, "begin", _begin_postgres)
    return engine


def _begin_postgres(connection: sa.Connection) -> None:
    # As on SQLite: what is read in one transaction is of one moment.
    if not connection.get_execution_options().get("modelops_writing", False):
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")


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
