"""Limits that the system keeps by itself, set by a child for itself (setrlimit(2)).

They stop what grows faster than the parent looks.
"""

import resource
import sys
from functools import cache
from pathlib import Path

_UNLIMITED = resource.RLIM_INFINITY


def limit_memory(size: int | None) -> None:
    """Let the process take so many bytes beyond what it had when this was first called.

    None takes the limit away. Where the system has no such limit nothing happens: the parent looks.
    """
    # Elsewhere it doesn't count what is mapped, which is where large arrays are.
    if sys.platform == "linux":
        _limit(resource.RLIMIT_DATA, None if size is None else _data_at_first() + size)


def limit_files(count: int | None) -> None:
    """Let the process have so many files open at a time; None for as many as the system allows."""
    _limit(resource.RLIMIT_NOFILE, _files_at_first() if count is None else count)


def _limit(kind: int, wanted: int | None) -> None:
    soft, hard = resource.getrlimit(kind)
    value = hard if wanted is None else wanted if hard == _UNLIMITED else min(wanted, hard)
    if value != soft:
        resource.setrlimit(kind, (value, hard))


@cache
def _files_at_first() -> int:
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


@cache
def _data_at_first() -> int:
    # https://man7.org/linux/man-pages/man5/proc_pid_status.5.html. Not by psutil, which a bundle's
    # own environment needn't have.
    lines = Path("/proc/self/status").read_text().splitlines()
    (size,) = (line.split()[1] for line in lines if line.startswith("VmData:"))
    return int(size) * 1024
