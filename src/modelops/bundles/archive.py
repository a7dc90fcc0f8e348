"""Writing tar archives whose bytes depend on their files alone.

`tarfile` and `zlib` are not used to write: what they write differs between versions of Python and
builds of zlib, and with it every digest. The archive is POSIX ustar, with a pax header for names
that ustar can't hold (IEEE Std 1003.1, "pax"). It is wrapped in gzip (RFC 1952) with blocks that
are stored, not compressed (RFC 1951, section 3.2.4), because OCI clients unpack nothing else.
"""

import struct
import zlib
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

from modelops.bundles.tree import BundleFile
from modelops.core.errors import BundleFileError

_BLOCK = 512
_END = bytes(2 * _BLOCK)
_NAME, _PREFIX = 100, 155
_FILE, _DIRECTORY, _EXTENDED = b"0", b"5", b"x"
# Deflate, no flags, no time, no extra flags, system unknown.
_GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
_STORED = 65_535
_READ = 2**20


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


def file_content(file: BundleFile) -> Iterator[bytes]:
    """Yield the content of a file in pieces.

    Raises:
        BundleFileError: if it can't be read, or has another size than when it was listed.
    """
    size = 0
    try:
        with file.path.open("rb") as source:
            while chunk := source.read(_READ):
                size += len(chunk)
                if size > file.size:
                    break
                yield chunk
    except OSError as error:
        raise BundleFileError(f"{file.path} can't be read: {error}") from error
    if size != file.size:
        raise BundleFileError(
            f"{file.path} was changed while the bundle was packed.",
            hint="Do it again when nothing writes to the bundle's directory.",
        )


def parent_directories(names: Iterable[str]) -> list[str]:
    """Return every directory above the names, sorted, so that parents come first."""
    parents = {str(parent) for name in names for parent in PurePosixPath(name).parents}
    return sorted(parents - {"."}, key=str.encode)


def _tar(files: Iterable[BundleFile], top: str, directories: Iterable[str]) -> Iterator[bytes]:
    yield _header(f"{top}/", 0, 0o755, _DIRECTORY)
    for name in directories:
        yield _header(f"{top}/{name}/", 0, 0o755, _DIRECTORY)
    for file in files:
        yield _header(f"{top}/{file.name}", file.size, file.mode, _FILE)
        yield from file_content(file)
        yield _padding(file.size)
    yield _END


def _header(name: str, size: int, mode: int, kind: bytes) -> bytes:
    """Return the header of an entry; where ustar can't hold the name, a pax header goes before."""
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
    """Return the name and prefix fields of ustar; None if they can't hold the name."""
    if not name.isascii():
        return None
    text = name.encode()
    if len(text) <= _NAME:
        return text, b""
    # The prefix ends before a slash, and the slash of a directory isn't the one.
    cut = text.rfind(b"/", 0, min(_PREFIX + 1, len(text) - 1))
    if cut <= 0 or len(text) - cut - 1 > _NAME:
        return None
    return text[cut + 1 :], text[:cut]


def _block(name: bytes, prefix: bytes, size: int, mode: int, kind: bytes) -> bytes:
    """Return one header block; owner, group and time are 0, and there are no names of them."""
    head = b"%s%07o\0%07o\0%07o\0%011o\0%011o\0" % (name.ljust(_NAME, b"\0"), mode, 0, 0, size, 0)
    tail = b"".join(
        [kind, bytes(100), b"ustar\x0000", bytes(64), bytes(16), prefix.ljust(_PREFIX, b"\0")]
    )
    block = (head + b" " * 8 + tail).ljust(_BLOCK, b"\0")
    return head + b"%06o\0 " % sum(block) + block[len(head) + 8 :]


def _pax_record(key: str, value: str) -> bytes:
    """Return `length key=value` and a newline; the length counts its own digits."""
    rest = f" {key}={value}\n".encode()
    length = len(rest)
    while length != len(rest) + len(str(length)):
        length = len(rest) + len(str(length))
    return str(length).encode() + rest


def _padding(size: int) -> bytes:
    return bytes(-size % _BLOCK)


def _stored_gzip(chunks: Iterable[bytes]) -> Iterator[bytes]:
    yield _GZIP_HEADER
    checksum = size = 0
    waiting = bytearray()
    for chunk in chunks:
        checksum = zlib.crc32(chunk, checksum)
        size += len(chunk)
        waiting += chunk
        whole = len(waiting) // _STORED * _STORED
        if whole:
            yield _stored_blocks(waiting[:whole])
            del waiting[:whole]
    # The last block is marked as such, and may be empty.
    yield struct.pack("<BHH", 1, len(waiting), len(waiting) ^ 0xFFFF) + bytes(waiting)
    yield struct.pack("<II", checksum, size & 0xFFFFFFFF)


def _stored_blocks(data: bytes | bytearray) -> bytes:
    header = struct.pack("<BHH", 0, _STORED, _STORED ^ 0xFFFF)
    return b"".join(
        header + data[start : start + _STORED] for start in range(0, len(data), _STORED)
    )
