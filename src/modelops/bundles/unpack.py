"""Unpacking what others packed: regular files and directories, inside the target, within limits."""

import gzip
import os
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO, cast

from modelops.core.errors import BundleError

_READ = 2**20
_BLOCK = 512
# What tarfile and gzip raise for content that isn't what it should be.
_MALFORMED = (
    tarfile.TarError,
    zlib.error,
    gzip.BadGzipFile,
    EOFError,
    ValueError,
    OverflowError,
    RecursionError,
)


@dataclass(frozen=True)
class UnpackLimits:
    """How much a bundle may be once it is unpacked."""

    total_bytes: int = 64 * 2**30
    entries: int = 100_000


class Unpacker:
    """Writes a bundle's layers into one directory, which nobody else writes to meanwhile."""

    def __init__(self, target: Path, limits: UnpackLimits | None = None) -> None:
        """Make an unpacker.

        Args:
            target: an empty directory.
            limits: for all layers together.
        """
        self._target = target
        self._limits = limits or UnpackLimits()
        self._bytes = 0
        self._entries = 0

    def add_archive(self, path: Path) -> None:
        """Unpack a layer that is a tar archive in gzip.

        Raises:
            BundleError: if it isn't such an archive, has an entry that isn't a regular file or a
                directory, has a name that leads outside or is there already, or passes a limit.
        """
        try:
            with gzip.open(path, "rb") as plain:
                reader = _ForwardReader(plain)
                with tarfile.open(fileobj=cast("IO[bytes]", reader), mode="r:") as archive:
                    while member := archive.next():
                        self._add_member(archive, member)
                # tarfile takes whatever it can't read for the end.
                if reader.last != bytes(_BLOCK):
                    raise BundleError("The archive of a bundle ends too early.")
        except _MALFORMED as error:
            raise BundleError(f"The archive of a bundle can't be read: {error}") from error

    def add_file(self, name: str, size: int, mode: int) -> Path:
        """Return where a layer that is one file belongs; its directory is made.

        Raises:
            BundleError: as for an archive's entry.
        """
        self._count(name, size)
        path = self._place(name)
        self._make_directory(path.parent, name)
        if os.path.lexists(path):
            raise BundleError(f"The bundle holds {name!r} twice.")
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _mode(mode))
        os.close(descriptor)
        path.chmod(_mode(mode))
        return path

    def _add_member(self, archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        if member.isdir():
            self._count(member.name, 0)
            self._make_directory(self._place(member.name), member.name)
        elif member.type in (tarfile.REGTYPE, tarfile.AREGTYPE) and not member.issparse():
            content = archive.extractfile(member)
            path = self.add_file(member.name, member.size, member.mode)
            with path.open("wb") as file:
                for chunk in _exactly(content, member.size):
                    file.write(chunk)
        else:
            raise BundleError(
                f"The bundle holds {member.name!r}, which is neither a file nor a directory."
            )

    def _count(self, name: str, size: int) -> None:
        self._entries += 1
        self._bytes += size
        if size < 0 or self._bytes > self._limits.total_bytes:
            raise BundleError(
                f"The bundle is larger than {self._limits.total_bytes:,} bytes, from {name!r} on."
            )
        if self._entries > self._limits.entries:
            raise BundleError(f"The bundle has more than {self._limits.entries:,} files.")

    def _place(self, name: str) -> Path:
        parts = name.removesuffix("/").split("/")
        try:
            name.encode()
        except UnicodeEncodeError:
            raise BundleError(f"The bundle holds {name!r}, which isn't UTF-8.") from None
        if "\0" in name or "\\" in name or any(part in ("", ".", "..") for part in parts):
            raise BundleError(f"The bundle holds {name!r}, which isn't a path inside of it.")
        return self._target.joinpath(*parts)

    def _make_directory(self, path: Path, name: str) -> None:
        # Only directories and regular files were made below the target: no link leads outside.
        try:
            path.mkdir(mode=0o755, parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise BundleError(f"The bundle holds {name!r} in the place of a file.") from error


class _ForwardReader:
    """What tarfile needs of a file, over a stream that is read once, forward.

    tarfile goes back by one byte at most. A header tells it how much to read at once, so that what
    it asks for is limited: an archive can't make it fill the memory.
    """

    def __init__(self, stream: BinaryIO | gzip.GzipFile) -> None:
        self._stream = stream
        self._position = 0
        self._back = False
        self.last = b""

    def tell(self) -> int:
        return self._position - self._back

    def seek(self, position: int, whence: int = os.SEEK_SET) -> int:
        if whence != os.SEEK_SET or position < self._position - 1:
            raise tarfile.ReadError("it isn't read from front to back")
        self._back = position == self._position - 1
        while self._position < position:
            if not self._read(min(_READ, position - self._position)):
                break
        return self.tell()

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _READ:
            raise tarfile.ReadError("a header is too large")
        if self._back and size:
            self._back = False
            return self.last[-1:] + self._read(size - 1)
        return self._read(size)

    def _read(self, size: int) -> bytes:
        data = self._stream.read(size) if size else b""
        self._position += len(data)
        self.last = data or self.last
        return data


def _exactly(content: IO[bytes] | None, size: int) -> Iterator[bytes]:
    left = size
    while left and content is not None:
        chunk = content.read(min(_READ, left))
        if not chunk:
            break
        left -= len(chunk)
        yield chunk
    if left:
        raise BundleError("The archive of a bundle ends too early.")


def _mode(mode: int) -> int:
    """Return 0755 or 0644: no other bit of a mode is taken over, setuid least of all."""
    return 0o755 if mode & 0o100 else 0o644
