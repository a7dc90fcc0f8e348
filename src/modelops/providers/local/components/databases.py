"""Where journals are kept: a SQLite file, a PostgreSQL of ours, or one that is there already."""

import sys
from importlib.util import find_spec
from pathlib import Path

import pulumi

from modelops.contracts import Address, BindingOutputs, SecretRef
from modelops.core.errors import NotThereError, ProviderError
from modelops.core.secret_files import read_secret
from modelops.providers.base import ResourcePlan
from modelops.providers.declaring import Bindings
from modelops.providers.local.components.resources import Directory, Process, Random, SecretFile
from modelops.providers.local.plugin.ports import LOOPBACK
from modelops.providers.local.postgres.binaries import find_binaries
from modelops.providers.local.postgres.cluster import data_major
from modelops.providers.local.postgres.server import database_url

_PASSWORD_LENGTH = 32
# Data that an earlier server left in a crash are recovered first.
_READY_SECONDS = 120
_ENGINES = {"sqlite": "sqlite", "postgresql": "postgres"}


class SqliteDatabase(pulumi.ComponentResource):
    """A folder that holds one SQLite database for journals."""

    bindings: Bindings

    def __init__(self, plan: ResourcePlan) -> None:
        super().__init__(plan.type, plan.name)
        path = plan.properties["path"]
        binding = plan.properties["binding"]
        folder = Directory(plan.name, path=path, opts=pulumi.ResourceOptions(parent=self))
        self.bindings = folder.path.apply(
            lambda there: BindingOutputs(env={binding: _sqlite_url(f"{there}/journal.sqlite")})
        )
        self.register_outputs({})


class PostgresDatabase(pulumi.ComponentResource):
    """A PostgreSQL on loopback, with a port and a password that it keeps."""

    bindings: Bindings

    def __init__(self, plan: ResourcePlan) -> None:
        """Declare the server.

        Raises:
            ProviderError: if PostgreSQL or its Python driver isn't installed.
        """
        _require_driver()
        properties = plan.properties
        # The data decide which of several versions it has to be.
        binaries = find_binaries(data_major(Path(properties["path"])))
        super().__init__(plan.type, plan.name)
        child = pulumi.ResourceOptions(parent=self)
        folder = Directory(f"{plan.name}-data", path=properties["path"], opts=child)
        password = Random(
            f"{plan.name}-password",
            length=_PASSWORD_LENGTH,
            kind="password",
            secret=True,
            opts=child,
        )
        # Two files, since the server needs the password before it has the port of the URL.
        password_file = SecretFile(
            f"{plan.name}-password-file",
            path=properties["password_file"],
            content=password.value,
            opts=child,
        )
        process = Process(
            plan.name,
            command=[
                *(sys.executable, "-m", "modelops.providers.local.postgres.server"),
                *("--folder", folder.path, "--home", properties["home"]),
                *("--binaries", str(binaries.folder), "--password-file", password_file.path),
                *("--port", "{port:postgres}"),
            ],
            root=properties["root"],
            log=properties["log"],
            port_names=["postgres"],
            ready="command",
            # A server that recovers its data listens already and lets nobody in.
            ready_command=[
                *(binaries.path("pg_isready"), "--host", LOOPBACK, "--port", "{port:postgres}"),
            ],
            ready_timeout=_READY_SECONDS,
            # At SIGTERM it would wait until every client has gone.
            stop_signal="INT",
            opts=child,
        )
        port = process.port("postgres")
        url_file = SecretFile(
            f"{plan.name}-url",
            path=properties["url_file"],
            content=pulumi.Output.all(password.value, port).apply(lambda of: database_url(*of)),
            opts=child,
        )
        self.bindings = pulumi.Output.all(url_file.path, port).apply(
            lambda of: BindingOutputs(
                secrets={properties["binding"]: SecretRef("file", of[0])},
                addresses={plan.name: Address(LOOPBACK, of[1], "postgresql")},
            )
        )
        self.register_outputs({})


class ExternalDatabase(pulumi.ComponentResource):
    """A database that is there already; a secret of the user's holds its URL."""

    bindings: Bindings

    def __init__(self, plan: ResourcePlan) -> None:
        """Hand the secret on.

        Raises:
            NotThereError: if it hasn't been set.
            ProviderError: if it isn't the URL of a database of the spec's engine.
        """
        path, secret = Path(plan.properties["path"]), plan.properties["secret"]
        if not path.is_file():
            raise NotThereError(
                f"{plan.name} takes its URL from the secret {secret!r}, which isn't set.",
                hint=f"Set it with: mops secrets set {secret}",
            )
        ref = SecretRef("file", str(path))
        _check_url(read_secret(secret, ref), secret, plan.properties["engine"])
        super().__init__(plan.type, plan.name)
        self.bindings = pulumi.Output.from_input(
            BindingOutputs(secrets={plan.properties["binding"]: ref})
        )
        self.register_outputs({})


def _sqlite_url(path: str) -> str:
    """Return the URL of a database file; a ? or % in its path is a part of the path."""
    from sqlalchemy import URL  # noqa: PLC0415 — it takes long, and most stacks don't need it

    return URL.create("sqlite", database=path).render_as_string()


def _require_driver() -> None:
    if find_spec("psycopg") is None:
        raise ProviderError(
            "PostgreSQL needs the package psycopg, which isn't installed.",
            hint='Install it with: pip install "modelops[postgres]", or write `engine: sqlite`.',
        )


def _check_url(url: str, secret: str, engine: str | None) -> None:
    from sqlalchemy import make_url  # noqa: PLC0415 — as above
    from sqlalchemy.exc import ArgumentError  # noqa: PLC0415

    hint = f"Set it anew with: mops secrets set {secret}"
    try:
        backend = make_url(url).get_backend_name()
    except (ArgumentError, ValueError):
        # `from None`: the error holds the URL.
        raise ProviderError(f"The secret {secret!r} isn't a database's URL.", hint=hint) from None
    found = _ENGINES.get(backend)
    if found is None:
        raise ProviderError(f"The secret {secret!r} is a URL of {backend}.", hint=hint)
    if engine not in (None, found):
        raise ProviderError(
            f"The secret {secret!r} is a URL of {found}, and the spec says engine: {engine}.",
            hint=f"Leave the engine out. {hint}",
        )
