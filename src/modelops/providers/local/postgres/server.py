"""Runs PostgreSQL: `python -m modelops.providers.local.postgres.server --folder …`.

It makes the data folder if need be, then becomes the server, so that the server has this process's
id. As root it becomes one of another user.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from modelops.core.errors import ModelOpsError
from modelops.providers.local.plugin.ports import LOOPBACK
from modelops.providers.local.postgres.account import let_in, server_account
from modelops.providers.local.postgres.binaries import Binaries
from modelops.providers.local.postgres.cluster import DATABASE, ROLE, Cluster, server_environment

_SETTINGS = {
    "listen_addresses": LOOPBACK,
    # A socket's path may be too long under a long MODELOPS_HOME, and nothing needs one.
    "unix_socket_directories": "",
    "password_encryption": "scram-sha-256",
    # Small: journals are, and laptops run other things beside them.
    "shared_buffers": "32MB",
    "max_connections": "50",
    "max_wal_size": "256MB",
    # Nothing is replicated from here.
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "logging_collector": "off",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Become the server; return only if that can't be done."""
    parser = argparse.ArgumentParser(prog="server", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="the database's folder")
    parser.add_argument("--home", type=Path, required=True, help="MODELOPS_HOME")
    parser.add_argument("--binaries", type=Path, required=True, help="PostgreSQL's bin folder")
    parser.add_argument("--password-file", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args(argv)
    try:
        _serve(options.folder, options.home, options.binaries, options.password_file, options.port)
    except (ModelOpsError, OSError) as error:
        sys.stderr.write(f"{error}\n")
    return 1


def database_url(password: str, port: int) -> str:
    """Return the URL of the database for journals."""
    return f"postgresql://{ROLE}:{password}@{LOOPBACK}:{port}/{DATABASE}"


def _serve(folder: Path, home: Path, binaries: Path, password_file: Path, port: int) -> None:
    account = server_account()
    password = password_file.read_text().strip()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if account is not None:
        let_in(account, folder, home)
    cluster = Cluster(folder.resolve(), Binaries(binaries), account)
    cluster.prepare(password)
    settings = {**_SETTINGS, "port": str(port)}
    program = cluster.binaries.path("postgres")
    arguments = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    environment = server_environment()
    os.umask(0o077)
    if account is not None:
        account.become()
    os.chdir(cluster.data)
    os.execve(program, [program, "-D", str(cluster.data), *arguments], environment)  # noqa: S606 — a list, no shell


if __name__ == "__main__":
    sys.exit(main())
