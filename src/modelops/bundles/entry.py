"""An entry of the cache: a bundle's files, and who uses them.

`{entry}/entry.json` says what was unpacked. Its time is when the bundle was last opened, and a
shared lock on it (flock, which child processes inherit with the descriptor) says that somebody
works in the bundle; the kernel takes it away with the last process that had it.
"""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from modelops.core.errors import BundleError

_ENTRY_FILE = "entry.json"
_TREE = "tree"
_BYTECODE = "__pycache__"
_CANT_BE_TOUCHED = (errno.EROFS, errno.EPERM, errno.EACCES)


class OpenBundle:
    """A bundle in the cache that stays there until `close`, or until this process has ended.

    Attributes:
        folder: the bundle's directory.
        descriptor: what holds it; a child process that inherits it holds the bundle, too.
    """

    def __init__(self, folder: Path, descriptor: int) -> None:
        self.folder = folder
        self.descriptor = descriptor
        self._is_open = True

    def close(self) -> None:
        """Let go of the bundle. May be called twice."""
        if self._is_open:
            self._is_open = False
            os.close(self.descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def hold(folder: Path) -> OpenBundle | None:
    """Hold a bundle that is open already, for a part that works in its folder for longer.

    Returns None if the folder isn't one of a cache: nobody removes it then.
    """
    entry = folder.parent.parent
    descriptor = _shared(entry) if folder.parent.name == _TREE else None
    return None if descriptor is None else OpenBundle(folder, descriptor)


@dataclass(frozen=True)
class Usage:
    """How large an entry is in bytes, and when it was last opened (nanoseconds)."""

    path: Path
    size: int
    last_use: int


class Entry:
    """One entry, there or not."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def tree(self) -> Path:
        """Where the bundle's one directory is in."""
        return self.path / _TREE

    def open(self) -> OpenBundle | None:
        """Open the bundle; None if there is none, or if its files were altered."""
        descriptor = _shared(self.path)
        if descriptor is None:
            return None
        try:
            folder = self._intact(descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        if folder is None:
            os.close(descriptor)
            return None
        return OpenBundle(folder, descriptor)

    def seal(self) -> str:
        """Write down what was unpacked, so that it can be opened; return its directory's name.

        Raises:
            BundleError: if it isn't one directory.
        """
        top = _top(self.tree)
        fingerprint, size = _survey(self.tree)
        content = {"fingerprint": fingerprint, "bytes": size}
        (self.path / _ENTRY_FILE).write_text(json.dumps(content))
        return top.name

    def usage(self) -> Usage | None:
        """Return how large it is and when it was used; None if it's gone."""
        path = self.path / _ENTRY_FILE
        try:
            last_use = path.stat().st_mtime_ns
            size = json.loads(path.read_text())["bytes"]
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (ValueError, KeyError, TypeError):
            size = None
        return Usage(self.path, size if isinstance(size, int) else _survey(self.tree)[1], last_use)

    @contextlib.contextmanager
    def unused(self) -> Iterator[bool]:
        """Say whether nobody uses it; if so, nobody begins to until the end of the block."""
        try:
            descriptor = os.open(self.path / _ENTRY_FILE, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            yield True
            return
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
        finally:
            os.close(descriptor)

    def _intact(self, descriptor: int) -> Path | None:
        try:
            content = json.loads(_content(descriptor))
            if content["fingerprint"] != _survey(self.tree)[0]:
                return None
        except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
            return None
        try:
            os.utime(descriptor)
        except OSError as error:
            # A cache that may be read only is of use, too.
            if error.errno not in _CANT_BE_TOUCHED:
                raise
        return _top(self.tree)


def _shared(entry: Path) -> int | None:
    """Take the shared lock of an entry and return its descriptor; None if the entry isn't there."""
    path = entry / _ENTRY_FILE
    while True:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            return None
        try:
            # Who has it alone moves the entry away, which takes no time.
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            held, there = os.fstat(descriptor), path.stat()
        except (FileNotFoundError, NotADirectoryError):
            os.close(descriptor)
            return None
        except BaseException:
            os.close(descriptor)
            raise
        if (held.st_dev, held.st_ino) == (there.st_dev, there.st_ino):
            return descriptor
        os.close(descriptor)


def _content(descriptor: int) -> bytes:
    return os.pread(descriptor, os.fstat(descriptor).st_size, 0)


def _top(tree: Path) -> Path:
    """Return the one directory that everything in a bundle is in."""
    entries = list(tree.iterdir())
    if len(entries) != 1 or not entries[0].is_dir():
        raise BundleError(
            f"The bundle isn't one directory: it has {len(entries)} entries at the top."
        )
    return entries[0]


def _survey(tree: Path) -> tuple[str, int]:
    """Return the fingerprint of all files below a directory, and their size in bytes."""
    lines: list[bytes] = []
    size = _list(os.fspath(tree), b"", lines)
    digest = hashlib.sha256()
    for line in sorted(lines):
        digest.update(line)
    return digest.hexdigest(), size


def _list(directory: str, prefix: bytes, lines: list[bytes]) -> int:
    """Add a line for each file (name, mode, size, time) and directory (name, mode)."""
    size = 0
    with os.scandir(directory) as entries:
        for entry in entries:
            name = prefix + os.fsencode(entry.name)
            status = entry.stat(follow_symlinks=False)
            if not entry.is_dir(follow_symlinks=False):
                facts = (status.st_mode, status.st_size, status.st_mtime_ns)
                lines.append(b"%s\0%d %d %d\0" % (name, *facts))
                size += status.st_size
            elif entry.name != _BYTECODE:
                lines.append(b"%s/\0%d\0" % (name, status.st_mode))
                size += _list(entry.path, name + b"/", lines)
    return size
