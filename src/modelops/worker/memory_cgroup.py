"""A cgroup for one child, in which the kernel keeps it and all that it starts below a limit.

It holds what the child's own limit (`rlimits`) doesn't: processes that a model starts, memory that
they share, files in memory. And it's faster than the parent's looks.
"""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from modelops.worker.cgroup_place import CgroupPlace, find_place
from modelops.worker.oom_kills import oom_kills

_HEADROOM = 64 * 2**20
"""How much more they get, so that a process that grows by itself meets its own limit first, which
tells it: what a child shares with the server that it's a copy of counts once it's written to."""
_OF_SWAP = frozenset({"memory.memsw.limit_in_bytes", "memory.swap.max"})
_END_SECONDS = 1.0
"""How long processes that were killed may take to be gone."""
_LOOK_SECONDS = 0.005


class MemoryCgroup:
    """The cgroup of one child; used by one thread at a time."""

    def __init__(self, place: CgroupPlace) -> None:
        """Make it, empty and without a limit; first remove what killed workers left.

        Raises:
            OSError: if that isn't allowed.
        """
        _remove_left(place)
        self._place = place
        self._folder, self._lock = place.make()
        self._limit: int | None = None

    @classmethod
    def around(cls, pid: int) -> "MemoryCgroup | None":
        """Make one with a process and those below it; None if this process may not, or it's gone.

        What they have in memory by now counts where they were.
        """
        place = _usable_place()
        if place is None:
            return None
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            cgroup = cls(place)
            stack.callback(cgroup.close)
            cgroup._add(pid)
            stack.pop_all()
            return cgroup
        # There are too many, or the process has ended. The parent's looks have to do.
        return None

    @property
    def folder(self) -> str:
        """Its place in the file system."""
        return str(self._folder)

    @property
    def kills(self) -> int:
        """How many processes in it were ended because it reached its limit."""
        return oom_kills(self.folder)

    def limit(self, size: int | None) -> None:
        """Let what is in it take so many bytes, and a headroom; None for as many as there are.

        Raises:
            OSError: if that isn't allowed, or, with version 1, if they have more already and can't
                give it back. Version 2 ends them then.
        """
        if size == self._limit:
            return
        is_more = size is None or (self._limit is not None and size > self._limit)
        self._limit = size
        for name, value in _settings(self._place.version, size, is_more=is_more):
            path = self._folder / name
            # There may be no swap, or nobody may count it.
            if name not in _OF_SWAP or path.exists():
                path.write_text(value)

    def close(self) -> None:
        """End what is in it, and remove it; what can't be ended now, the next one removes."""
        deadline = time.monotonic() + _END_SECONDS
        while not _is_removed(self._folder) and time.monotonic() < deadline:
            time.sleep(_LOOK_SECONDS)
        os.close(self._lock)
        _remove_left(self._place)

    def _add(self, pid: int) -> None:
        procs = self._folder / "cgroup.procs"
        procs.write_text(str(pid))
        for other in _below(pid):
            with contextlib.suppress(ProcessLookupError):
                procs.write_text(str(other))


@cache
def _usable_place() -> CgroupPlace | None:
    if sys.platform != "linux":
        return None
    place = find_place()
    if place is not None:
        try:
            # Only trying shows it: a file system may be read-only, a kernel without the limit.
            with contextlib.closing(MemoryCgroup(place)) as trial:
                trial.limit(_HEADROOM)
        except OSError:
            return None
    return place


def _settings(version: int, size: int | None, *, is_more: bool) -> list[tuple[str, str]]:
    """Return file → content, in the order in which they have to be written."""
    if version == 1:
        value = "-1" if size is None else str(size + _HEADROOM)
        # The second is that of memory and swap together, which may never be the smaller one.
        files = [("memory.limit_in_bytes", value), ("memory.memsw.limit_in_bytes", value)]
        return files[::-1] if is_more else files
    return [
        ("memory.oom.group", "1"),
        ("memory.swap.max", "max" if size is None else "0"),
        ("memory.max", "max" if size is None else str(size + _HEADROOM)),
    ]


def _below(pid: int) -> Iterator[int]:
    """Yield the processes below one; none where the kernel doesn't tell."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in map(int, (task / "children").read_text().split()):
                yield child
                yield from _below(child)


def _remove_left(place: CgroupPlace) -> None:
    for folder in place.left():
        _is_removed(folder)


def _is_removed(folder: Path) -> bool:
    """Remove a cgroup if there's nothing in it any more, else end what is."""
    try:
        folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        _end_all(folder)
        return False
    return True


def _end_all(folder: Path) -> None:
    with contextlib.suppress(OSError):
        for pid in map(int, (folder / "cgroup.procs").read_text().split()):
            # What is in another container has no number here, and 0 would be ourselves.
            if pid > 0:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
