"""Reading tar archives from front to back: regular files and directories, and nothing else.

Read are POSIX ustar and pax (IEEE Std 1003.1, "pax"), and GNU's long names and sizes. Whatever this
reads, Python's `tarfile` reads to the same tree; where programs understand an archive differently,
it's refused. `tarfile` itself takes two to four times as long for small files.
"""

import re
import struct
from collections.abc import Iterator
from typing import NamedTuple

from modelops.core.errors import BundleError

BLOCK = 512
MAX_HEADER_BYTES = 2**20
"""How long a header that extends another one may be."""

_HEADER = struct.Struct("100s8s8s8s12s12s8sc100s6s2s32s32s8s8s155s12s")
_END = bytes(BLOCK)
_CHECKSUM = slice(148, 156)
_POSIX, _GNU, _OLD = b"ustar\0", b"ustar ", bytes(6)
_FILES, _DIRECTORY = (b"0", b"\0"), b"5"
_EXTENDED, _GLOBAL, _LONG_NAME = b"x", b"g", b"L"
_OCTAL = re.compile(rb" *([0-7]*)[ \0]*")
_MAX_LENGTH_DIGITS = 18
_DECIMAL = re.compile(rb"[0-9]{1,%d}" % _MAX_LENGTH_DIGITS)
# What in a pax header changes which bytes belong to which name; the rest is about owners and times.
_STRUCTURAL = ("path", "linkpath", "size", "hdrcharset")


class TarEntry(NamedTuple):
    """A file or directory of an archive; a directory's name ends without a slash."""

    name: str
    size: int
    mode: int
    is_directory: bool


class TarReader:
    """The entries of an archive, in their order. A file's content is read before the next entry."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        """Make a reader.

        Args:
            chunks: the archive in pieces, read as far as they are asked for.
        """
        self._chunks = chunks
        self._buffer = b""
        self._at = 0
        self._unread = 0
        self._padding = 0

    def __iter__(self) -> Iterator[TarEntry]:
        """Yield the entries.

        Raises:
            BundleError: if it isn't such an archive, or has other entries.
        """
        name: str | None = None
        size: int | None = None
        is_extended = is_expected = False
        while (block := self._block()) != _END:
            header = _Header(block)
            if header.kind in (_EXTENDED, _LONG_NAME):
                if is_extended:
                    raise BundleError("The archive of a bundle has two headers for one entry.")
                name, size = self._extension(header)
                is_extended = True
            elif header.kind == _GLOBAL:
                if is_extended:
                    raise BundleError("The archive of a bundle has a header without an entry.")
                self._global(header)
                is_expected = True
            else:
                yield self._entry(header, name, size)
                name, size = None, None
                is_extended = is_expected = False
        if is_extended or is_expected:
            raise BundleError("The archive of a bundle has a header without an entry.")
        self._check_rest()

    def content(self) -> Iterator[memoryview]:
        """Yield the content of the file that came last, in pieces."""
        while self._unread:
            if self._at == len(self._buffer):
                self._buffer, self._at = self._next(), 0
            piece = memoryview(self._buffer)[self._at : self._at + self._unread]
            self._at += len(piece)
            self._unread -= len(piece)
            yield piece

    def _entry(self, header: "_Header", name: str | None, size: int | None) -> TarEntry:
        if name is None:
            name = header.name
        if size is None:
            size = header.size
        is_directory = header.kind == _DIRECTORY
        if is_directory:
            name = name.removesuffix("/")
        elif header.kind not in _FILES:
            raise BundleError(
                f"The bundle holds {name!r}, which is neither a file nor a directory."
            )
        elif name.endswith("/"):
            raise BundleError(f"The bundle holds {name!r}, a file with the name of a directory.")
        if is_directory and size:
            raise BundleError(f"The bundle holds {name!r}, a directory with content.")
        self._unread, self._padding = size, -size % BLOCK
        return TarEntry(name, size, header.mode, is_directory)

    def _extension(self, header: "_Header") -> tuple[str | None, int | None]:
        content = self._header_content(header)
        if header.kind == _LONG_NAME:
            return _decoded(content.rstrip(b"\0")), None
        records = dict(_pax_records(content))
        if "hdrcharset" in records or any(key.startswith("GNU.sparse") for key in records):
            raise BundleError("The archive of a bundle has a sparse file, or names of no Unicode.")
        size = records.get("size")
        if size is not None and not _DECIMAL.fullmatch(size):
            raise BundleError(f"The archive of a bundle has a file of the size {size!r}.")
        path = records.get("path")
        return (
            None if path is None else _decoded(path),
            None if size is None else int(size),
        )

    def _global(self, header: "_Header") -> None:
        for key, _ in _pax_records(self._header_content(header)):
            if key in _STRUCTURAL or key.startswith("GNU."):
                raise BundleError(f"The archive of a bundle has {key!r} for all of its files.")

    def _header_content(self, header: "_Header") -> bytes:
        if header.size > MAX_HEADER_BYTES:
            raise BundleError("The archive of a bundle can't be read: a header is too large.")
        content = self._exactly(header.size)
        # Some programs read what stands there.
        if any(self._exactly(-header.size % BLOCK)):
            raise BundleError("The archive of a bundle can't be read: a header has a hidden part.")
        return content

    def _block(self) -> bytes:
        """Return the next header; what is left of the entry before it is passed over."""
        for _ in self.content():
            pass
        if self._padding:
            self._exactly(self._padding)
            self._padding = 0
        return self._exactly(BLOCK)

    def _check_rest(self) -> None:
        rest = self._buffer[self._at :]
        while rest:
            if rest.count(0) != len(rest):
                raise BundleError("The archive of a bundle goes on behind its end.")
            rest = next(self._chunks, b"")

    def _exactly(self, size: int) -> bytes:
        end = self._at + size
        if end > len(self._buffer):
            self._buffer = self._buffer[self._at :]
            self._at, end = 0, size
            while len(self._buffer) < size:
                self._buffer += self._next()
        data = self._buffer[self._at : end]
        self._at = end
        return data

    def _next(self) -> bytes:
        chunk = next(self._chunks, b"")
        if not chunk:
            raise BundleError("The archive of a bundle ends too early.")
        return chunk


class _Header:
    """The block before an entry; all its numbers are read, since other programs do."""

    __slots__ = ("_name", "_prefix", "kind", "mode", "size")

    def __init__(self, block: bytes) -> None:
        fields = _HEADER.unpack(block)
        self._name, mode, uid, gid, size, time, checksum, self.kind = fields[:8]
        magic, major, minor, prefix = fields[9], fields[13], fields[14], fields[15]
        if _number(checksum) != sum(block) - sum(checksum) + 8 * 0x20:
            raise BundleError("The archive of a bundle can't be read: a header has a wrong sum.")
        self.mode, self.size = _number(mode), _number(size)
        for field in (uid, gid, time, major, minor):
            _number(field)
        if magic not in (_POSIX, _GNU, _OLD):
            raise BundleError("The archive of a bundle is in no known format of tar.")
        if magic != _POSIX and any(prefix):
            raise BundleError("The archive of a bundle is one of changes, not of files.")
        self._prefix = prefix
        if self.size < 0:
            raise BundleError("The archive of a bundle has a file of a negative size.")

    @property
    def name(self) -> str:
        name = self._name.partition(b"\0")[0]
        prefix = self._prefix.partition(b"\0")[0]
        return _decoded(prefix + b"/" + name if prefix else name)


def _number(field: bytes) -> int:
    """Read a number: octal digits or, where they don't suffice, GNU's base 256."""
    if field[0] == 0o200:
        return int.from_bytes(field[1:], "big")
    if field[0] == 0o377:
        return int.from_bytes(field[1:], "big", signed=False) - (1 << 8 * (len(field) - 1))
    match = _OCTAL.fullmatch(field)
    if match is None:
        raise BundleError(f"The archive of a bundle can't be read: {field!r} isn't a number.")
    return int(match[1] or b"0", 8)


def _pax_records(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the records of a pax header, `length key=value` on a line each; a key comes once."""
    seen = set()
    at = 0
    while at < len(content):
        blank = content.find(b" ", at, at + _MAX_LENGTH_DIGITS + 1)
        length = content[at:blank]
        end = at + int(length) if _DECIMAL.fullmatch(length) else 0
        record = content[blank + 1 : end]
        key, equals, value = record[:-1].partition(b"=")
        name = _decoded(key)
        if end > len(content) or record[-1:] != b"\n" or not equals or not key or name in seen:
            raise BundleError("The archive of a bundle can't be read: a header isn't one of pax.")
        seen.add(name)
        yield name, value
        at = end


def _decoded(name: bytes) -> str:
    try:
        return name.decode()
    except UnicodeDecodeError:
        raise BundleError(f"The bundle holds {name!r}, which isn't UTF-8.") from None
