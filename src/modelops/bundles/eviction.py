"""Keeping the cache within its size: what wasn't used for longest goes, never what is in use."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from modelops.bundles.entry import Entry
from modelops.core.errors import BundleError

SIZE_VARIABLE = "MODELOPS_BUNDLE_CACHE_BYTES"
DEFAULT_BYTES = 20 * 2**30

_STAGING = ".d"
_EVICTING = ".evicting.lock"
_LOOK_AGAIN_SECONDS = 0.005
"""How long who waits for a lock sleeps: a small entry is made in less than filelock's 50 ms."""


def allowed_bytes(environment: Mapping[str, str]) -> int:
    """Return how large the cache may grow: what MODELOPS_BUNDLE_CACHE_BYTES says, else 20 GiB.

    Raises:
        BundleError: if it isn't a number of bytes.
    """
    text = environment.get(SIZE_VARIABLE, "").strip()
    if not text:
        return DEFAULT_BYTES
    if not (text.isascii() and text.isdecimal()):
        raise BundleError(
            f"{SIZE_VARIABLE} is {text!r}, not a number of bytes.",
            hint=f"Write it in digits, as in {SIZE_VARIABLE}={DEFAULT_BYTES}, or unset it.",
        )
    return int(text)


def making_lock(root: Path, name: str) -> FileLock:
    """Return the lock of whoever makes or removes the entry `name`."""
    return FileLock(root / f".{name}.lock", poll_interval=_LOOK_AGAIN_SECONDS)


def new_staging(root: Path, name: str) -> Path:
    """Make a directory for what becomes, or was, the entry `name`; its lock is held.

    By a rename it becomes the entry, or the entry it.
    """
    return Path(tempfile.mkdtemp(prefix=f".{name}.", suffix=_STAGING, dir=root))


def remove_staging(root: Path, name: str) -> None:
    """Remove what was left half-made of an entry, or aside because it was used; its lock is held.

    What is still used stays, and what can't be removed (a bundle's code may have made it so): both
    are tried again another time.
    """
    for left in root.glob(f".{name}.*{_STAGING}"):
        with Entry(left).unused() as is_unused:
            if is_unused:
                shutil.rmtree(left, ignore_errors=True)


def remove_leftovers(root: Path) -> None:
    """Remove what processes left that ended while they made or removed an entry."""
    names = {path.name.split(".")[1] for path in root.glob(f".*.*{_STAGING}")}
    for name in names:
        with _now(making_lock(root, name)) as is_held:
            if is_held:
                remove_staging(root, name)


def evict(root: Path, max_bytes: int) -> int:
    """Remove entries that nobody uses until the rest is small enough; return how many bytes went.

    Those go first that weren't opened for longest. Several processes may do so at once.
    """
    with FileLock(root / _EVICTING, poll_interval=_LOOK_AGAIN_SECONDS):
        entries = [usage for path in _entries(root) if (usage := Entry(path).usage()) is not None]
        total = sum(usage.size for usage in entries)
        removed = 0
        for usage in sorted(entries, key=lambda usage: usage.last_use):
            if total - removed <= max_bytes:
                break
            if _remove(root, usage.path):
                removed += usage.size
    return removed


def _remove(root: Path, path: Path) -> bool:
    with _now(making_lock(root, path.name)) as is_held, Entry(path).unused() as is_unused:
        if not (is_held and is_unused):
            return False
        # Gone by one rename: whoever opens it finds all of it or nothing.
        staging = new_staging(root, path.name)
        try:
            path.rename(staging)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    return True


def _entries(root: Path) -> Iterator[Path]:
    with os.scandir(root) as found:
        yield from [Path(item.path) for item in found if not item.name.startswith(".")]


@contextmanager
def _now(lock: FileLock) -> Iterator[bool]:
    """Say whether a lock could be had at once."""
    try:
        lock.acquire(blocking=False)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()
