"""Unpacking what others packed: regular files and directories, inside the target, within limits."""

import errno
import io
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from modelops.bundles.inflate import gunzip
from modelops.bundles.tar_reader import TarReader
from modelops.core.errors import BundleError

_READ = 2**18
_MAX_DEPTH = 128
"""How deep directories may be in each other: what removes or lists them goes down by calls."""
# A part that is empty, `.` or `..`; a character that is a separator elsewhere, or ends a name.
_UNSAFE = re.compile(r"[\\\0]|(?:\A|/)\.{0,2}(?:/|\Z)")


@dataclass(frozen=True)
class UnpackLimits:
    """How much a bundle may be once it is unpacked.

    Attributes:
        total_bytes: the size of all files.
        entries: the number of files and directories.
        expansion: how many times its own size an archive may be; but any may be `small_bytes`.
        small_bytes: what an archive may be, however small it is itself.
    """

    total_bytes: int = 64 * 2**30
    entries: int = 100_000
    expansion: int = 100
    small_bytes: int = 64 * 2**20


class Unpacker:
    """Writes a bundle's layers into one directory, which nobody else writes to meanwhile."""

    def __init__(self, target: Path, limits: UnpackLimits | None = None) -> None:
        """Make an unpacker.

        Args:
            target: an empty directory.
            limits: for all layers together.
        """
        self._target = str(target)
        self._limits = limits or UnpackLimits()
        self._bytes = 0
        self._entries = 0
        self._directories = {""}

    def add_archive(self, archive: Path | bytes | memoryview) -> None:
        """Unpack a layer that is a tar archive in gzip: a file, or the bytes themselves.

        A directory may be in several archives, a file in one only.

        Raises:
            BundleError: if it isn't such an archive, has an entry that isn't a regular file or a
                directory, has a name that leads outside or is there already, or passes a limit.
            OSError: if it can't be read or written.
        """
        with archive.open("rb") if isinstance(archive, Path) else io.BytesIO(archive) as source:
            size = source.seek(0, os.SEEK_END)
            source.seek(0)
            most = max(self._limits.small_bytes, self._limits.expansion * size)
            reader = TarReader(gunzip(_pieces(source), most))
            for entry in reader:
                if entry.is_directory:
                    self._count(entry.name, 0)
                    _check_name(entry.name)
                    self._make_directory(entry.name, entry.name)
                else:
                    self._write(entry.name, entry.size, entry.mode, reader.content())

    def add_file(self, name: str, size: int, mode: int) -> Path:
        """Make the file that a layer is by itself, empty, and return where it is.

        Raises:
            BundleError: as for an archive's entry.
            OSError: if it can't be written.
        """
        self._write(name, size, mode, ())
        return Path(self._target, name)

    def _write(self, name: str, size: int, mode: int, content: Iterable[memoryview]) -> None:
        self._count(name, size)
        _check_name(name)
        self._make_directory(name.rpartition("/")[0], name)
        # No other bit of a mode is taken over, setuid least of all.
        plain = 0o755 if mode & 0o100 else 0o644
        try:
            descriptor = os.open(
                f"{self._target}/{name}", os.O_WRONLY | os.O_CREAT | os.O_EXCL, plain
            )
        except OSError as error:
            raise _explained(error, name) from error
        try:
            # What it was made with went through the umask.
            os.fchmod(descriptor, plain)
            for piece in content:
                rest = piece
                while rest:
                    rest = rest[os.write(descriptor, rest) :]
        finally:
            os.close(descriptor)

    def _count(self, name: str, size: int) -> None:
        self._entries += 1
        self._bytes += size
        if self._bytes > self._limits.total_bytes:
            raise BundleError(
                f"The bundle is larger than {self._limits.total_bytes:,} bytes, from {name!r} on."
            )
        if self._entries > self._limits.entries:
            raise BundleError(f"The bundle has more than {self._limits.entries:,} files.")

    def _make_directory(self, path: str, name: str) -> None:
        """Make a directory and those above it, for the entry `name`.

        Only directories and regular files were made below the target: no link leads outside.
        """
        if path in self._directories:
            return
        self._make_directory(path.rpartition("/")[0], name)
        self._count(name, 0)
        try:
            os.mkdir(f"{self._target}/{path}", 0o755)  # noqa: PTH102 - a Path costs more than it
        except OSError as error:
            raise _explained(error, name) from error
        self._directories.add(path)


def _pieces(source: BinaryIO) -> Iterator[bytes]:
    while piece := source.read(_READ):
        yield piece


def _check_name(name: str) -> None:
    try:
        name.encode()
    except UnicodeEncodeError:
        raise BundleError(f"The bundle holds {name!r}, which isn't UTF-8.") from None
    if _UNSAFE.search(name):
        raise BundleError(f"The bundle holds {name!r}, which isn't a path inside of it.")
    if name.count("/") >= _MAX_DEPTH:
        raise BundleError(
            f"The bundle holds {name[:80]!r}…, more than {_MAX_DEPTH} directories in each other."
        )


def _explained(error: OSError, name: str) -> Exception:
    """Return the bundle's own fault in what the system said; what isn't, as it is."""
    if isinstance(error, (FileExistsError, IsADirectoryError)):
        return BundleError(
            f"The bundle holds {name!r} twice, or in the place of a file or directory; maybe under "
            "another spelling, where this system knows no difference."
        )
    if isinstance(error, NotADirectoryError):
        return BundleError(f"The bundle holds {name!r} in the place of a file.")
    if error.errno in (errno.ENAMETOOLONG, errno.EILSEQ):
        return BundleError(f"The bundle holds {name[:80]!r}…, which no file can be called here.")
    return error
