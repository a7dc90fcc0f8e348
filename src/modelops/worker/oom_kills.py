"""What the kernel has ended in a cgroup because it had more memory than it may."""

import os
import time
from pathlib import Path

from modelops.contracts import FailureReason, SimFailure

_LEAST_SECONDS = 0.005
"""What takes less can't have started a process and filled the least limit that there is."""
_NEAR_BYTES = 2**20
"""Version 1 counts in batches of pages, so that what reached the limit may show a little less."""


def oom_kills(folder: str) -> int:
    """Return how many processes of a cgroup were ended because the cgroup reached its limit.

    What is ended because the machine, or a limit further up, has no memory left isn't counted: that
    says nothing about the model. Nor is anything if it can't be read, as where a model has all the
    files open that it may; nothing is lost then but a reason.

    Args:
        folder: of the cgroup, of either version.
    """
    try:
        try:
            # https://docs.kernel.org/admin-guide/cgroup-v2.html#memory-interface-files
            events = _fields(f"{folder}/memory.events")
            return events["oom_kill"] if events["oom"] else 0
        except FileNotFoundError:
            # https://docs.kernel.org/admin-guide/cgroup-v1/memory.html
            kills = _fields(f"{folder}/memory.oom_control")["oom_kill"]
            return kills if kills and _has_reached_its_limit(folder) else 0
    except OSError:
        return 0


def over_memory(limit: int) -> SimFailure:
    """Return the failure of a simulation of which the kernel ended a process."""
    message = (
        "the system ended a process of the model's: "
        f"together they had more bytes in memory than they may, {limit:,}"
    )
    return SimFailure(FailureReason.MEMORY, message)


class OomWatch:
    """Tells, in the child, which simulation of a chunk a process was ended of."""

    def __init__(self, folder: str, limit: int | None) -> None:
        """Begin to watch.

        Args:
            folder: of the child's cgroup; empty if it has none.
            limit: how many bytes a simulation's processes may have, or None.
        """
        self._folder = "" if limit is None else folder
        self._limit = limit or 0
        self.kills = oom_kills(folder) if self._folder else 0
        """How many were ended by the time of the last look."""

    def look(self, begun: float) -> SimFailure | None:
        """Return why a simulation has failed if a process was ended since the last look.

        Args:
            begun: when its call began, in terms of `time.monotonic`.
        """
        # Many models take less than a look at the file.
        if not self._folder or time.monotonic() - begun < _LEAST_SECONDS:
            return None
        kills = oom_kills(self._folder)
        if kills <= self.kills:
            return None
        self.kills = kills
        return over_memory(self._limit)


def _has_reached_its_limit(folder: str) -> bool:
    # Files that were read count too, though nothing is ended for them. So where the machine has no
    # memory left, a model that has read a lot may be blamed.
    most, limit = (
        int(Path(folder, f"memory.{name}_in_bytes").read_text()) for name in ("max_usage", "limit")
    )
    return most >= limit - _NEAR_BYTES


def _fields(path: str) -> dict[str, int]:
    """Read a file of lines like `oom_kill 0`."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        words = os.read(descriptor, 4_096).split()
    finally:
        os.close(descriptor)
    return {name.decode(): int(value) for name, value in zip(words[::2], words[1::2], strict=True)}
