"""One command at a time on an environment of this machine; others wait for it.

The engine's own locks are a stack's, and refuse instead of waiting. These are locks of the kernel
on files under MODELOPS_HOME, so that they end with the process that holds them, however it ends.
"""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from modelops.core.settings import Home

_held: set[Path] = set()


@contextmanager
def exclusively(home: Home, env: str, on_step: Callable[[str], None]) -> Iterator[None]:
    """Work on an environment while no other process does; `on_step` is told who is waited for.

    May be entered again inside itself.
    """
    path = home.lock_file(env)
    if path in _held:
        yield
        return
    home.make()
    with _locked(home.lock_file(), fcntl.LOCK_SH, on_step), _locked(path, fcntl.LOCK_EX, on_step):
        _held.add(path)
        try:
            yield
        finally:
            _held.discard(path)


@contextmanager
def alone_in(home: Home) -> Iterator[bool]:
    """Give whether nobody else works on any environment of a home, and keep it so meanwhile."""
    descriptor = _open(home.lock_file())
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield _is(descriptor, home.lock_file())
    except BlockingIOError:
        yield False
    finally:
        os.close(descriptor)


@contextmanager
def _locked(path: Path, kind: int, on_step: Callable[[str], None]) -> Iterator[None]:
    while True:
        descriptor = _open(path)
        try:
            _lock(descriptor, kind, on_step)
            # Whoever held it before may have removed the file, and another may have a new one.
            if not _is(descriptor, path):
                continue
            if kind == fcntl.LOCK_EX:
                os.truncate(descriptor, 0)
                os.pwrite(descriptor, str(os.getpid()).encode(), 0)
            yield
            return
        finally:
            os.close(descriptor)


def _lock(descriptor: int, kind: int, on_step: Callable[[str], None]) -> None:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 20, 0).decode(errors="replace") or "unknown"
        on_step(f"wait for another mops that is at work here (process {holder})")
        fcntl.flock(descriptor, kind)


def _open(path: Path) -> int:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _is(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
