"""A blob while it's read once, from its first byte to its last."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

_PIECE = 2**20


class Reading(Protocol):
    """A blob's pieces, which can be taken once."""

    @property
    def digest(self) -> str:
        """The digest of the blob, from when its last piece is taken on."""
        ...

    def __iter__(self) -> Iterator[bytes]:
        """Return the pieces, from the first byte to the last."""
        ...


@dataclass(frozen=True)
class BlobSource:
    """A blob that can be read as often as needed.

    Attributes:
        what: its name for people.
        size: in bytes.
        read: begins to read it.
    """

    what: str
    size: int
    read: Callable[[], Reading]


class MemoryReading:
    """A blob that is in memory, and was hashed."""

    def __init__(self, data: bytes, digest: str) -> None:
        self.digest = digest
        self._data = data

    def __iter__(self) -> Iterator[bytes]:
        """Yield the pieces."""
        for start in range(0, len(self._data), _PIECE):
            yield self._data[start : start + _PIECE]


class FileReading:
    """A blob that is hashed while it's read.

    In the thread that sends it: what takes it is busy for longer than the hashing takes, and hands
    on what is in the socket's buffer meanwhile. A thread of its own was no faster.
    """

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = chunks
        self._digest = hashlib.sha256()

    @property
    def digest(self) -> str:
        """The digest of what was read so far."""
        return f"sha256:{self._digest.hexdigest()}"

    def __iter__(self) -> Iterator[bytes]:
        """Yield the pieces."""
        for chunk in self._chunks:
            self._digest.update(chunk)
            yield chunk
