"""Which process is meant: pid, start time and boot together, since pids come back."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import psutil

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
# The start time that the system reports moves by a little when its clock is set.
_CLOCK_TOLERANCE_SECONDS = 2.0


@dataclass(frozen=True)
class ProcessIdentity:
    """One process of this machine's current or an earlier boot.

    Attributes:
        pid: the process id.
        started: seconds since the epoch.
        boot: which boot of the machine it belongs to.
    """

    pid: int
    started: float
    boot: str

    @classmethod
    def of(cls, process: psutil.Process) -> Self:
        """Return the identity of a process that runs.

        Raises:
            psutil.NoSuchProcess: if it has ended.
        """
        return cls(process.pid, process.create_time(), current_boot())

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self | None:
        """Read the identity from a resource's state; None if there is none in it."""
        if not state.get("pid"):
            return None
        return cls(int(state["pid"]), float(state["started"]), str(state["boot"]))

    def to_state(self) -> dict[str, Any]:
        """Return the identity as a resource's state holds it."""
        return {"pid": self.pid, "started": self.started, "boot": self.boot}

    def find(self) -> psutil.Process | None:
        """Return the process if it still runs (a zombie doesn't), else None."""
        if self.boot != current_boot():
            return None
        try:
            process = psutil.Process(self.pid)
            is_zombie = process.status() == psutil.STATUS_ZOMBIE
            return process if self._is(process) and not is_zombie else None
        except psutil.NoSuchProcess:
            return None

    def may_lead_session(self) -> bool:
        """Return whether processes of the session with this pid belong to this process.

        They do while it runs, when it's a zombie and when it's gone: no system gives a pid to a
        new process while a session has that number. They don't if another process has the pid.
        """
        if self.boot != current_boot():
            return False
        try:
            return self._is(psutil.Process(self.pid))
        except psutil.NoSuchProcess:
            return True

    def _is(self, process: psutil.Process) -> bool:
        return abs(process.create_time() - self.started) <= _CLOCK_TOLERANCE_SECONDS


def current_boot() -> str:
    """Return what tells this boot of the machine from every other."""
    if _BOOT_ID.exists():
        return _BOOT_ID.read_text().strip()
    return f"boot-{psutil.boot_time():.0f}"
