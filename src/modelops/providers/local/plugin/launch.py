"""One start of a process: its folder, what is filled in where, its environment and command."""

import fcntl
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from fnmatch import fnmatchcase
from hashlib import sha256
from pathlib import Path
from typing import Any

from modelops.core.errors import ProcessError
from modelops.core.process_identity import ProcessIdentity
from modelops.providers.local import keeper, launcher
from modelops.providers.local.layout import rotated
from modelops.providers.local.plugin import unfinished

MAX_LOG_BYTES = 10 * 2**20
"""A log that is larger when its process starts is put aside; one such log is kept."""

# What a program of this machine may expect; everything else is given to it by name.
_BASIC_ENV = frozenset(
    {"HOME", "LANG", "LOGNAME", "PATH", "SHELL", "TMPDIR", "TZ", "USER", "VIRTUAL_ENV"}
)


@dataclass(frozen=True)
class ProcessFolder:
    """The folder of one process: its lock, its exit record, its ready file, files it was given."""

    path: Path

    @classmethod
    def of(cls, root: str, urn: str, name: str) -> "ProcessFolder":
        """Return the folder of the resource with that URN."""
        return cls(Path(root) / f"{name}-{sha256(urn.encode()).hexdigest()[:12]}")

    @property
    def lock(self) -> Path:
        """Held open by the process for as long as it runs."""
        return self.path / "lock"

    @property
    def urn_file(self) -> Path:
        """Which resource it belongs to."""
        return self.path / "urn"

    def urn(self) -> str:
        """Return the resource's URN; empty if the folder isn't that of a process."""
        try:
            return self.urn_file.read_text()
        except OSError:
            return ""

    @property
    def exit_record(self) -> Path:
        """How a job ended."""
        return self.path / "exit.json"

    @property
    def ready(self) -> Path:
        """Made by the program when it is ready."""
        return self.path / "ready"

    @property
    def command(self) -> Path:
        """What a keeper starts."""
        return self.path / "command.json"

    @property
    def settled(self) -> Path:
        """There once the process has been ready: from now on a keeper starts it again."""
        return self.path / "settled"


@dataclass(frozen=True)
class Launch:
    """A process that is about to start, at the ports that were chosen for it.

    `inputs` are those of the Process resource, with what was left out filled in.
    """

    name: str
    inputs: dict[str, Any]
    folder: ProcessFolder
    ports: dict[str, int]

    def fill(self, text: str) -> str:
        """Return the text with `{dir}`, `{ready}` and `{port:NAME}` filled in."""
        for port_name, number in self.ports.items():
            text = text.replace(f"{{port:{port_name}}}", str(number))
        folder = self.folder
        return text.replace("{dir}", str(folder.path)).replace("{ready}", str(folder.ready))

    @property
    def environment(self) -> dict[str, str]:
        """The basic variables of this machine, those to inherit, and those that were given."""
        patterns = self.inputs["inherit"]
        basic = {
            key: value
            for key, value in os.environ.items()
            if _is_basic(key) or any(fnmatchcase(key, pattern) for pattern in patterns)
        }
        return basic | {key: self.fill(value) for key, value in self.inputs["env"].items()}

    def start(self) -> tuple[subprocess.Popen[bytes], ProcessIdentity]:
        """Start the program with the lock of its folder.

        Raises:
            ProcessError: if another process holds the lock, or the program can't be run.
        """
        log = Path(self.inputs["log"])
        log.parent.mkdir(parents=True, exist_ok=True)
        _rotate(log)
        # Text mode would need a codec; the child alone writes here.
        with log.open("ab") as output, self.folder.lock.open("wb") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise ProcessError(
                    f"{self.name} can't be started: another process holds {self.folder.lock}.",
                    hint="Find it with: fuser -v FILE, or lsof FILE. End it, then try again.",
                ) from error
            command = self._command(lock.fileno())
            return unfinished.spawn(
                self.name,
                command,
                stdout=output,
                stderr=output,
                env=self.environment,
                cwd=self.folder.path,
                pass_fds=(lock.fileno(),),
            )

    def _command(self, lock: int) -> list[str]:
        """Return the program with its arguments, under a launcher or keeper if it gets one."""
        command = [self.fill(part) for part in self.inputs["command"]]
        folder = self.folder
        if self.inputs["kind"] == "job":
            return [
                *(sys.executable, "-P", launcher.__file__, "--record", str(folder.exit_record)),
                *("--pass-fd", str(lock), "--", *command),
            ]
        if self.inputs["restart"]:
            folder.command.write_text(json.dumps(command))
            return [
                *(sys.executable, "-P", keeper.__file__, "--command", str(folder.command)),
                *("--settled", str(folder.settled), "--pass-fd", str(lock)),
            ]
        return command


def _rotate(log: Path) -> None:
    """Put a large log aside; only when a process starts, since one that runs keeps its file."""
    if log.exists() and log.stat().st_size > MAX_LOG_BYTES:
        log.replace(rotated(log))


def _is_basic(name: str) -> bool:
    return name in _BASIC_ENV or name.startswith("LC_")
