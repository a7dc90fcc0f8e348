"""A real PostgreSQL for tests: started by our own program, on loopback, in a folder of its own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psutil
import psycopg
import pytest
import stamina

from free_ports import free_port
from modelops.core.errors import ProviderError
from modelops.providers.local.postgres.binaries import Binaries, find_binaries
from modelops.providers.local.postgres.server import database_url

# As for the registry: it ends the server when the pipe closes, also if the test is killed.
_KEEPER = """\
import signal, subprocess, sys, threading
child = subprocess.Popen(sys.argv[2:], stdin=subprocess.DEVNULL, stdout=open(sys.argv[1], "ab"),
                         stderr=subprocess.STDOUT)
print(child.pid, flush=True)
threading.Thread(target=lambda: (sys.stdin.read(), child.send_signal(signal.SIGINT)),
                 daemon=True).start()
child.wait()
"""


class PostgresProcess:
    """One PostgreSQL: it can be started, ended and killed, and started again with its data."""

    def __init__(self, folder: Path, password: str = "hunter2") -> None:
        self.folder = folder
        self.binaries = postgres_binaries()
        self.password = password
        self.port = free_port()
        self.log = folder / "log.txt"
        self.pid = 0
        self._keeper: subprocess.Popen[str] | None = None

    @property
    def is_running(self) -> bool:
        """Whether it was started, and neither ended nor killed since."""
        return self._keeper is not None

    @property
    def url(self) -> str:
        """The URL of the database that our program made."""
        return database_url(self.password, self.port)

    def start(self) -> None:
        """Start it and wait until it lets clients in."""
        keeper = self.launch()
        for attempt in stamina.retry_context(
            on=psycopg.OperationalError, attempts=None, timeout=45, wait_max=0.2, wait_jitter=0
        ):
            with attempt:
                if keeper.poll() is not None:
                    pytest.fail(f"PostgreSQL ended: {self.log.read_text()}")
                psycopg.connect(self.url).close()

    def launch(self) -> subprocess.Popen[str]:
        """Start it and return at once."""
        password_file = self.folder / "password"
        password_file.write_text(self.password)
        self._keeper = subprocess.Popen(
            [
                *(sys.executable, "-c", _KEEPER, str(self.log)),
                *(sys.executable, "-m", "modelops.providers.local.postgres.server"),
                *("--folder", str(self.folder / "database"), "--home", str(self.folder)),
                *("--binaries", str(self.binaries.folder), "--port", str(self.port)),
                *("--password-file", str(password_file)),
            ],
            cwd=self.folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._keeper.stdout is not None
        self.pid = int(self._keeper.stdout.readline())
        return self._keeper

    def stop(self) -> None:
        """End it as `down` would, and wait for that. May be called twice."""
        if self._keeper is None:
            return
        keeper, self._keeper = self._keeper, None
        with keeper:
            assert keeper.stdin is not None
            keeper.stdin.close()

    def kill(self) -> None:
        """SIGKILL the server, and wait until what it had started has noticed."""
        server = psutil.Process(self.pid)
        children = server.children(recursive=True)
        os.kill(self.pid, signal.SIGKILL)
        self.stop()
        psutil.wait_procs(children, timeout=30)

    def new_database(self, name: str) -> str:
        """Make an empty database and return its URL."""
        with closing(psycopg.connect(self.url, autocommit=True)) as connection:
            connection.execute(f"CREATE DATABASE {name}")  # type: ignore[call-overload]
        return f"{self.url.rpartition('/')[0]}/{name}"


def postgres_binaries() -> Binaries:
    """Return PostgreSQL's programs; a test that needs them is skipped without, or fails in CI."""
    try:
        return find_binaries()
    except ProviderError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error))
        pytest.skip(str(error))


@contextmanager
def reachable_folder() -> Iterator[Path]:
    """Make a folder that another user can reach, which pytest's own are not; remove it after."""
    folder = Path(tempfile.mkdtemp(prefix="modelops-test-")).resolve()
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@contextmanager
def postgres_process() -> Iterator[PostgresProcess]:
    """Give a PostgreSQL that hasn't been started; it's ended and removed afterwards."""
    with reachable_folder() as folder:
        process = PostgresProcess(folder)
        try:
            yield process
        finally:
            process.stop()
