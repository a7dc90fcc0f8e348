"""Folders for the length of an engine's command, under the home and not in the machine's /tmp.

A command that is killed leaves its folder. Each is locked by its process for as long as it's used
(a lock of the kernel, which ends with the process), so the next command knows and removes what
nobody uses any more, and `down --delete-data` removes the rest.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from modelops.core.settings import Home


@contextmanager
def scratch_folder(home: Home) -> Iterator[Path]:
    """Give an empty folder that is removed afterwards; remove those of commands that were killed.

    Raises:
        HomeError: if the home can't be made or written.
    """
    home.make()
    home.scratch.mkdir(exist_ok=True, mode=0o700)
    with _locked(home.scratch):
        _sweep(home.scratch)
        folder = Path(tempfile.mkdtemp(prefix="mops-", dir=home.scratch))
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


def _sweep(scratch: Path) -> None:
    for folder in scratch.iterdir():
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            continue  # its command has just ended
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        except BlockingIOError:
            pass
        finally:
            os.close(descriptor)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
