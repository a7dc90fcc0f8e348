"""The locks of the file and blob backends: who holds one, and whether they are still there."""

import re
import socket
from dataclasses import dataclass
from datetime import datetime
from typing import Self

import psutil

# As the engine words it: `created by user@host (pid 123) at 2026-01-01T00:00:00Z`.
_HOLDER = re.compile(r"created by (?P<user>.*)@(?P<host>.*) \(pid (?P<pid>\d+)\) at (?P<since>\S+)")
# The engine notes whole seconds, and the start time that the system reports moves by a little when
# its clock is set.
_TOLERANCE_SECONDS = 5.0


@dataclass(frozen=True)
class LockHolder:
    """Who made a lock."""

    user: str
    host: str
    pid: int
    since: str

    @classmethod
    def all_in(cls, message: str) -> tuple[Self, ...]:
        """Return the holders that an engine's error names."""
        return tuple(
            cls(found["user"], found["host"], int(found["pid"]), found["since"])
            for found in _HOLDER.finditer(message)
        )

    @property
    def is_gone(self) -> bool:
        """Whether it was an engine on this machine that has ended without giving up its lock.

        An engine that started after the lock was made isn't the one that made it: pids come back,
        above all after a reboot.
        """
        if self.host != socket.gethostname():
            return False
        try:
            process = psutil.Process(self.pid)
            if "pulumi" not in process.name() or process.status() == psutil.STATUS_ZOMBIE:
                return True
            made = datetime.fromisoformat(self.since).timestamp()
            return process.create_time() > made + _TOLERANCE_SECONDS
        except psutil.NoSuchProcess:
            return True

    def __str__(self) -> str:
        """Return the holder in words."""
        return f"{self.user}@{self.host} (process {self.pid}) since {self.since}"
