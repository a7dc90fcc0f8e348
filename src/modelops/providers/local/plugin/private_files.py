"""Files that only this user can read, written in one step."""

import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from modelops.core.errors import ProviderError

_FOLDER_MODE = 0o700
_FILE_MODE = 0o600


def make_folder(path: Path) -> None:
    """Make a folder, and those above that are missing, for this user alone.

    Raises:
        ProviderError: if it can't be made.
    """
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    try:
        # With parents=True the mode would be that of the last folder only.
        for folder in reversed(missing):
            folder.mkdir(mode=_FOLDER_MODE, exist_ok=True)
    except OSError as error:
        raise ProviderError(f"The folder {path} can't be made: {error.strerror}.") from error


def write(path: Path, content: bytes) -> None:
    """Write a file with mode 0600; whoever reads it sees the old content or the new.

    Raises:
        ProviderError: if it can't be written.
    """
    make_folder(path.parent)
    try:
        # mkstemp makes the file with mode 0600.
        descriptor, draft = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            Path(draft).replace(path)
        except BaseException:
            Path(draft).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise ProviderError(f"The file {path} can't be written: {error.strerror}.") from error


def read(path: Path) -> bytes | None:
    """Return a file's content, or None if it isn't there, isn't a file or can't be read."""
    try:
        return path.read_bytes()
    except OSError:
        return None


def is_private(path: Path) -> bool:
    """Return whether the file is there with exactly mode 0600."""
    try:
        found = path.lstat().st_mode
    except OSError:
        return False
    return stat.S_ISREG(found) and stat.S_IMODE(found) == _FILE_MODE


def remove(*paths: Path) -> None:
    """Remove files of one folder, and the folder if nothing else is in it."""
    for path in paths:
        path.unlink(missing_ok=True)
    with suppress(OSError):
        paths[0].parent.rmdir()
