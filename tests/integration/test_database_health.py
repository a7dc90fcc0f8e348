"""Asking a real PostgreSQL whether it is well."""

from __future__ import annotations

import gc
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from free_ports import free_port
from modelops.providers.probes import database_address, probe_database

pytestmark = pytest.mark.integration

PASSWORD = "hunter2 & more"


@dataclass(frozen=True)
class Server:
    port: int
    process: psutil.Process

    def url(self, password: str = "hunter2%20%26%20more") -> str:
        return f"postgresql://me:{password}@127.0.0.1:{self.port}/postgres"


def programs() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    on_path = shutil.which("initdb")
    if found or on_path:
        return (found[-1] if found else Path(str(on_path))).parent
    if os.environ.get("CI") == "true":
        pytest.fail("there is no PostgreSQL")
    pytest.skip("there is no PostgreSQL: no initdb on PATH or in /usr/lib/postgresql")


@pytest.fixture
def server() -> Iterator[Server]:
    """A PostgreSQL of the test's own, on loopback; it refuses to run as root."""
    binaries = programs()
    # Not in the test's own folder, which another user can't enter.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "password").write_text(PASSWORD)
        user = None
        if os.getuid() == 0:
            user = "postgres"
            account = pwd.getpwnam(user)
            for path in (folder, folder / "password"):
                os.chown(path, account.pw_uid, account.pw_gid)
        subprocess.run(
            [
                *(binaries / "initdb", "-D", folder / "data", "-U", "me", "--no-sync"),
                *("--auth=scram-sha-256", "--pwfile", folder / "password"),
            ],
            user=user,
            cwd=folder,
            check=True,
            capture_output=True,
        )
        port = free_port()
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [
                    *(binaries / "postgres", "-D", folder / "data", "-k", folder),
                    *("-h", "127.0.0.1", "-p", str(port)),
                ],
                user=user,
                cwd=folder,
                stdout=log,
                stderr=log,
            )
        found = Server(port, psutil.Process(process.pid))
        try:
            ready = [binaries / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port), "-t", "30"]
            while subprocess.run(ready, check=False).returncode:
                assert process.poll() is None, (folder / "log").read_text()
            yield found
        finally:
            found.process.resume()
            # The fast shutdown: it doesn't wait for clients.
            # Clients that connected while the server was suspended are waited for up to a minute by
            # any shutdown, and psycopg's are in cycles: open until Python collects its garbage.
            gc.collect()
            process.send_signal(signal.SIGINT)
            process.wait()


def test_a_server_that_answers_is_well_and_one_that_doesnt_is_told_of(server: Server) -> None:
    assert probe_database(server.url(), 10) == ""
    refused = probe_database(server.url("hunter3"), 10)
    assert "password authentication failed" in refused
    assert "hunter3" not in refused
    assert "hunter" not in database_address(server.url())
    server.process.suspend()
    hanging = probe_database(server.url(), 1)
    assert "can't be reached" in hanging
    assert "hunter" not in hanging
