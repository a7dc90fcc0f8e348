"""Writing tar archives whose bytes depend on their files alone.

`tarfile` and `zlib` are not used to write: what they write differs between versions of Python and
builds of zlib, and with it every digest. The archive is POSIX ustar, with a pax header for names
that ustar can't hold (IEEE Std 1003.1, "pax"). It is wrapped in gzip (RFC 1952) with blocks that
are stored, not compressed (RFC 1951, section 3.2.4), because OCI clients unpack nothing else.
"""

import functools
import os
import struct
import zlib
from collections.abc import Iterable, Iterator

from modelops.bundles.tree import BundleFile
from modelops.core.errors import BundleChangedError, BundleFileError

_BLOCK = 512
_ZEROS = bytes(_BLOCK)
_END = bytes(2 * _BLOCK)
_NAME, _PREFIX = 100, 155
_FILE, _DIRECTORY, _EXTENDED = b"0", b"5", b"x"
_NOBODY, _NO_TIME = b"0000000\x000000000\0", b"00000000000\0"
# From the name of a link, which no entry has, to the device numbers.
_MAGIC = bytes(100) + b"ustar\x0000" + bytes(64) + bytes(16)
_CHECKSUM = 8
_BEFORE_CHECKSUM = 148
# Deflate, no flags, no time, no extra flags, system unknown.
_GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
_STORED = 65_535
# What is read at once stays in the processor's cache until it's hashed and sent.
_READ = 2**18
# What was a regular file when it was listed may be a link by now, which may lead out of the bundle.
_OPEN = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW


def archive(files: Iterable[BundleFile], top: str, directories: Iterable[str]) -> Iterator[bytes]:
    """Yield the pieces of an archive of files and directories, all below the directory `top`.

    Args:
        files: in the order in which they are written.
        top: the one directory that everything is in.
        directories: paths relative to `top`, parents first; `top` itself is written by itself.

    Raises:
        BundleFileError: if a file isn't what it was when it was listed.
    """
    return _stored_gzip(_tar(files, top, directories))


def archived_size(file: BundleFile) -> int:
    """Return how many bytes of an archive a file takes, with its header; a long name takes more."""
    return _BLOCK + file.size + -file.size % _BLOCK


def file_content(file: BundleFile) -> Iterator[bytes]:
    """Yield the content of a file in pieces.

    Raises:
        BundleChangedError: if it has another size than when it was listed.
        BundleFileError: if it can't be read.
    """
    left = file.size
    try:
        descriptor = os.open(file.location, _OPEN)
        try:
            while True:
                # One byte more than there should be, to see whether there is one.
                asked = min(_READ, left + 1)
                chunk = os.read(descriptor, asked)
                left -= len(chunk)
                if left >= 0:
                    yield chunk
                if left < 0 or not chunk or (left == 0 and len(chunk) < asked):
                    break
        finally:
            os.close(descriptor)
    except OSError as error:
        raise BundleFileError(f"{file.path} can't be read: {error}") from error
    if left:
        raise BundleChangedError(file.path)


def parent_directories(names: Iterable[str]) -> list[str]:
    """Return every directory above the names, sorted, so that parents come first."""
    parents: set[str] = set()
    for name in names:
        parent = name.rpartition("/")[0]
        # Who is known has all of its own parents known.
        while parent and parent not in parents:
            parents.add(parent)
            parent = parent.rpartition("/")[0]
    return sorted(parents, key=str.encode)


def _tar(
    files: Iterable[BundleFile], top: str, directories: Iterable[str]
) -> Iterator[list[bytes]]:
    """Yield the bytes, as many pieces together as are worth the work for them."""
    pieces = [_header(f"{top}/", 0, 0o755, _DIRECTORY)]
    pieces += (_header(f"{top}/{name}/", 0, 0o755, _DIRECTORY) for name in directories)
    size = 0
    for file in files:
        pieces.append(_header(f"{top}/{file.name}", file.size, file.mode, _FILE))
        # Ten thousand small files are read in half the time if little is done for each.
        pieces += (_small_content(file),) if file.size < _READ else file_content(file)
        pieces.append(_padding(file.size))
        size += file.size
        if size >= _READ:
            yield pieces
            pieces, size = [], 0
    yield [*pieces, _END]


def _small_content(file: BundleFile) -> bytes:
    """Return the content of a file that is read at once."""
    try:
        descriptor = os.open(file.location, _OPEN)
        try:
            content = os.read(descriptor, file.size + 1)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise BundleFileError(f"{file.path} can't be read: {error}") from error
    # A file system may give less at once than there is.
    return content if len(content) == file.size else b"".join(file_content(file))


def _header(name: str, size: int, mode: int, kind: bytes) -> bytes:
    """Return the header of an entry; where ustar can't hold the name, a pax header goes before."""
    if name.isascii() and len(name) <= _NAME:
        return _block(name.encode(), b"", size, mode, kind)
    split = _split(name)
    if split is not None:
        return _block(*split, size, mode, kind)
    record = _pax_record("path", name)
    short = name.encode("ascii", "replace")[:_NAME]
    return b"".join(
        [
            _block(b"pax", b"", len(record), 0o644, _EXTENDED),
            record,
            _padding(len(record)),
            _block(short, b"", size, mode, kind),
        ]
    )


def _split(name: str) -> tuple[bytes, bytes] | None:
    """Return the name and prefix fields of ustar for a long name; None if they can't hold it."""
    if not name.isascii():
        return None
    text = name.encode()
    # The prefix ends before a slash, and the slash of a directory isn't the one.
    cut = text.rfind(b"/", 0, min(_PREFIX + 1, len(text) - 1))
    if cut <= 0 or len(text) - cut - 1 > _NAME:
        return None
    return text[cut + 1 :], text[:cut]


def _block(name: bytes, prefix: bytes, size: int, mode: int, kind: bytes) -> bytes:
    """Return one header block; owner, group and time are 0, and there are no names of them."""
    fields, rest, total = _fields(size, mode, kind, prefix)
    return b"%s%s%06o\0 %s" % (name.ljust(_NAME, b"\0"), fields, total + _sum(name), rest)


@functools.lru_cache(2**12)
def _fields(size: int, mode: int, kind: bytes, prefix: bytes) -> tuple[bytes, bytes, int]:
    """Return what is between name and checksum, what follows them, and the sum of it.

    The checksum is that of the block with blanks in its place.
    """
    fields = b"%07o\0%s%011o\0%s" % (mode, _NOBODY, size, _NO_TIME)
    rest = b"%s%s%s" % (kind, _MAGIC, prefix)
    total = _sum(fields) + _CHECKSUM * ord(" ") + sum(rest)
    return fields, rest.ljust(_BLOCK - _BEFORE_CHECKSUM - _CHECKSUM, b"\0"), total


def _sum(few: bytes) -> int:
    """Return the sum of few bytes at a tenth of what `sum` takes.

    Half of Adler-32 is that, and one, as long as it's less than 65,521 (RFC 1950).
    """
    return (zlib.adler32(few) & 0xFFFF) - 1


def _pax_record(key: str, value: str) -> bytes:
    """Return `length key=value` and a newline; the length counts its own digits."""
    rest = f" {key}={value}\n".encode()
    length = len(rest)
    while length != len(rest) + len(str(length)):
        length = len(rest) + len(str(length))
    return str(length).encode() + rest


def _padding(size: int) -> bytes:
    return _ZEROS[: -size % _BLOCK]


def _stored_gzip(content: Iterable[list[bytes]]) -> Iterator[bytes]:
    yield _GZIP_HEADER
    checksum = size = 0
    rest = b""
    for pieces in content:
        waiting = memoryview(b"".join([rest, *pieces]))
        data = waiting[len(rest) :]
        checksum = zlib.crc32(data, checksum)
        size += len(data)
        whole = len(waiting) // _STORED * _STORED
        yield _stored_blocks(waiting[:whole])
        rest = bytes(waiting[whole:])
    # The last block is marked as such, and may be empty.
    yield struct.pack("<BHH", 1, len(rest), len(rest) ^ 0xFFFF) + rest
    yield struct.pack("<II", checksum, size & 0xFFFFFFFF)


def _stored_blocks(data: memoryview) -> bytes:
    header = struct.pack("<BHH", 0, _STORED, _STORED ^ 0xFFFF)
    parts: list[bytes | memoryview] = []
    for start in range(0, len(data), _STORED):
        parts += (header, data[start : start + _STORED])
    return b"".join(parts)
