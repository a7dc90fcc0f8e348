"""The data folder of one PostgreSQL: made whole or not at all, with our role and database."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from modelops.core.errors import ProviderError
from modelops.providers.local.postgres.account import Account
from modelops.providers.local.postgres.binaries import Binaries
from modelops.providers.local.postgres.scram import is_verified, verifier

ROLE = "modelops"
DATABASE = "modelops"

_DATA = "postgres"
# Nothing of ours reads the user's settings for PostgreSQL's clients (PGDATA, PGPORT, …).
_ENVIRONMENT = ("PATH", "TZ")


def data_major(folder: Path) -> int | None:
    """Return the major version that the data in a database's folder belong to; None without."""
    try:
        return int((folder / _DATA / "PG_VERSION").read_text())
    except FileNotFoundError:
        return None


def server_environment() -> dict[str, str]:
    """Return the environment of PostgreSQL's programs: messages in English, no settings."""
    kept = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    return {**kept, "LC_ALL": "C"}


@dataclass(frozen=True)
class Cluster:
    """What PostgreSQL calls a cluster: one data folder with roles and databases.

    Attributes:
        folder: the database's folder, which has the data folder in it.
        binaries: the programs to use.
        account: the user whose data they are, or None if they are ours.
    """

    folder: Path
    binaries: Binaries
    account: Account | None

    @property
    def data(self) -> Path:
        """The data folder, as `postgres -D` wants it."""
        return self.folder / _DATA

    def prepare(self, password: str) -> None:
        """Make the data folder unless it's there, and let the role in with the password.

        A data folder that is being made has another name until it's whole. One that an earlier
        server left behind, with another password or after a crash, is taken as it is.

        Raises:
            ProviderError: if the data belong to another major version or are in use, or a program
                of PostgreSQL fails, with what it said.
        """
        self._refuse_other_version()
        _refuse_while_used(self.data)
        if not self.data.exists():
            self._make(password)
            return
        # Nobody uses the data. What a killed server noted may be the pid of another program by
        # now, and PostgreSQL would take that for a server.
        (self.data / "postmaster.pid").unlink(missing_ok=True)
        held = self._verifier_file(self.data)
        if not held.exists() or not is_verified(password, held.read_text()):
            self._admit(password)

    def _make(self, password: str) -> None:
        draft, password_file = self.folder / f"{_DATA}.draft", self.folder / "password.draft"
        if draft.exists():
            shutil.rmtree(draft)
        draft.mkdir(mode=0o700)
        self._own(draft)
        self._write(password_file, verifier(password))
        try:
            self._run(
                [
                    *(self.binaries.path("initdb"), "--pgdata", str(draft)),
                    *("--username", ROLE, "--pwfile", str(password_file)),
                    # The C locale is on every machine and orders text by its code points.
                    *("--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C"),
                ],
                draft,
            )
            self._single(draft, f"CREATE DATABASE {DATABASE}")
            self._write(self._verifier_file(draft), password_file.read_text())
        finally:
            password_file.unlink()
        draft.rename(self.data)

    def _admit(self, password: str) -> None:
        new = verifier(password)
        self._verifier_file(self.data).unlink(missing_ok=True)
        self._single(self.data, f"ALTER ROLE {ROLE} PASSWORD '{new}'")
        self._write(self._verifier_file(self.data), new)

    def _single(self, data: Path, statement: str) -> None:
        """Run one statement without a server; after a crash this recovers the data first."""
        self._run(
            [
                *(self.binaries.path("postgres"), "--single", "-D", str(data)),
                # By default it goes on after an error, and a log has the statement.
                *("-c", "exit_on_error=on", "-c", "log_min_error_statement=panic"),
                "template1",
            ],
            data,
            statement,
        )

    def _run(self, command: Sequence[str], folder: Path, text: str = "") -> None:
        as_user = {} if self.account is None else self.account.popen_arguments()
        # The lock of the process's folder stays open in it, so that it's found if we are killed.
        done = subprocess.run(
            command,
            input=f"{text}\n",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=folder,
            env=server_environment(),
            close_fds=False,
            check=False,
            umask=0o077,
            **as_user,
        )
        if done.returncode != 0:
            raise ProviderError(
                f"{Path(command[0]).name} failed for {self.data}, with exit code "
                f"{done.returncode}:\n{done.stdout.strip()}"
            )

    def _refuse_other_version(self) -> None:
        held, ours = data_major(self.folder), self.binaries.major()
        if held is not None and held != ours:
            raise ProviderError(
                f"The data in {self.data} were written by PostgreSQL {held}, and what is "
                f"installed is PostgreSQL {ours}, which can't read them.",
                hint=f"Install PostgreSQL {held} beside it, or move the data with pg_dumpall or "
                "pg_upgrade, or delete them: mops down --delete-data",
            )

    def _verifier_file(self, data: Path) -> Path:
        """What the role's password is checked with, beside the data that have it inside."""
        return data / "modelops-role"

    def _write(self, path: Path, text: str) -> None:
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
        self._own(path)

    def _own(self, path: Path) -> None:
        if self.account is not None:
            os.chown(path, self.account.uid, self.account.gid)


def _refuse_while_used(data: Path) -> None:
    """Every process of a server works in its data folder, also one that outlived the server."""
    if not data.exists():
        return
    place = os.path.realpath(data)
    pids = []
    for process in psutil.process_iter():
        try:
            if process.cwd() == place:
                pids.append(str(process.pid))
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
    if pids:
        raise ProviderError(
            f"The data in {data} are in use by another PostgreSQL, process {', '.join(pids)}.",
            hint="End it (pg_ctl stop), then bring the stack up again: mops infra up",
        )
