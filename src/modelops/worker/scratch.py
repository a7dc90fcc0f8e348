"""Where children work: what a model writes there is its own, and goes with the child."""

import fcntl
import os
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Self

_PREFIX = "modelops-child-"
_LEFT_OUT = "__pycache__"


class Scratch:
    """A directory with a link to each of the bundle's files, so that relative paths find them.

    It holds a lock on the directory, and so does whoever inherits `descriptor`: a directory that
    nobody holds belonged to a process that was killed, and the next one removes it.
    """

    def __init__(self, bundle_dir: Path) -> None:
        """Make the directory, in the system's place for temporary files.

        Raises:
            OSError: if it can't be made.
        """
        _remove_left()
        # Until it's locked, somebody may take it for one that was left, and remove it.
        while (descriptor := _locked(folder := Path(tempfile.mkdtemp(prefix=_PREFIX)))) is None:
            pass
        self.folder, self.descriptor = folder, descriptor
        try:
            _link(os.path.realpath(bundle_dir), str(self.folder))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Remove the directory and all that was written there."""
        shutil.rmtree(self.folder, ignore_errors=True)
        os.close(self.descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _locked(folder: Path) -> int | None:
    """Lock a directory as one that is used; None if it's gone by then."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    if folder.is_dir():
        return descriptor
    os.close(descriptor)
    return None


def _link(source: str, target: str) -> None:
    """Make the source's directories again, with links to its files."""
    with os.scandir(source) as entries:
        for entry in entries:
            if entry.name == _LEFT_OUT:
                continue
            there = f"{target}/{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                Path(there).mkdir()
                _link(entry.path, there)
            else:
                Path(there).symlink_to(entry.path)


@cache
def _remove_left() -> None:
    """Remove what killed processes of this user left; once in each process, since it takes time."""
    for left in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        try:
            descriptor = os.open(left, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            # It's another user's, or went away by itself.
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pass
        else:
            if os.fstat(descriptor).st_uid == os.geteuid():
                shutil.rmtree(left, ignore_errors=True)
        finally:
            os.close(descriptor)
