"""Asking a part whether it does its work, by the address that the bindings name.

Each probe returns nothing, or what is wrong in a few words without a password; it may take as long
as the other side does, so callers limit it.
"""

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import sqlalchemy as sa

from modelops.bundles.access import RegistryAccess
from modelops.bundles.reach import why_unreachable
from modelops.bundles.stores import layout_folder
from modelops.contracts import BindingOutputs
from modelops.core.errors import BundleError
from modelops.core.secret_files import read_secret

_FILE_SCHEME = "file://"
_LITTLE_SPACE = 2**24
_MIB = 2**20


def probe_registry(access: RegistryAccess) -> str:
    """Ask a bundle registry: a folder must be writable, a server must answer and let us in."""
    url = access.url
    try:
        folder = layout_folder(url)
    except BundleError as error:
        return str(error).replace("\n", " ")
    if folder is not None:
        return probe_folder(folder)
    return why_unreachable(access).replace("\n", " ")


def probe_object_store(url: str) -> str:
    """Ask an object store: a folder must be writable, a bucket must be there."""
    if url.startswith(_FILE_SCHEME):
        return probe_folder(Path(url.removeprefix(_FILE_SCHEME)))
    import fsspec  # noqa: PLC0415 — only clouds need it

    try:
        store, path = fsspec.core.url_to_fs(url)
        return "" if store.exists(path) else "there is no such bucket"
    except Exception as error:  # noqa: BLE001 — each cloud's package has errors of its own
        return f"can't be reached: {type(error).__name__}: {error}"


def probe_folder(path: Path) -> str:
    """Look whether a folder can be written to."""
    if not path.is_dir():
        return "the folder is gone"
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        return "the folder isn't writable"
    free = shutil.disk_usage(path).free
    if free < _LITTLE_SPACE:
        return f"its disk is full: {free / _MIB:.1f} MiB are left"
    return ""


def probe_database(url: str, seconds: float) -> str:
    """Connect to a database and ask it for a number; a SQLite file that isn't there yet is fine."""
    try:
        address = sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError):
        return "its address isn't a database's"
    if address.get_backend_name() == "sqlite":
        return _probe_sqlite(Path(address.database or ""))
    if address.drivername == "postgresql":
        address = address.set(drivername="postgresql+psycopg")
    try:
        # A second at least: the driver takes whole ones.
        wait = {"connect_timeout": max(1, int(seconds))}
        engine = sa.create_engine(address, connect_args=wait, poolclass=sa.NullPool)
        with engine.connect() as connection:
            connection.execute(sa.text("SELECT 1"))
    except ModuleNotFoundError as error:
        return f"needs the package {error.name}, which isn't installed"
    except sa.exc.SQLAlchemyError as error:
        said = " ".join(str(getattr(error, "orig", None) or error).split())
        if address.password:
            said = said.replace(str(address.password), "***")
        return f"can't be reached: {said}"
    return ""


def database_address(url: str) -> str:
    """Return a database's address without password and query."""
    try:
        return sa.make_url(url).set(query={}).render_as_string(hide_password=True)
    except (sa.exc.ArgumentError, ValueError):
        return ""


def bound_value(bindings: BindingOutputs, name: str) -> str | None:
    """Return what a binding stands for, be it a secret or not; None if there is no such binding.

    Raises:
        SecretError: if it is a secret that can't be read.
    """
    if name in bindings.env:
        return bindings.env[name]
    secret = bindings.secrets.get(name)
    return None if secret is None else read_secret(name, secret)


def _probe_sqlite(path: Path) -> str:
    problem = probe_folder(path.parent)
    if problem or not path.exists():
        return problem
    if not os.access(path, os.R_OK | os.W_OK):
        return "the file isn't writable"
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
            database.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error as error:
        return f"can't be opened: {error}"
    return ""
