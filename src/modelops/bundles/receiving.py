"""Taking in a blob: hashed and written while it comes, and no byte more than it should have."""

import hashlib
import io
import os
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

from modelops.bundles.artifact import Descriptor
from modelops.core.errors import BundleError

Progress = Callable[[int], None]
"""Called with the number of bytes that came; below zero where they are fetched again.

What it raises ends the download."""

_PIECE_BYTES, _PIECES = 2**18, 8
"""Small enough that what is read is still in the processor's cache when it's hashed and written."""
_ALONE_BYTES = 2**20
"""Below this size a thread costs more than it saves."""


class Source(Protocol):
    """What a blob is read from; a file is one.

    Bytes are passed on as they are: urllib3 reads into a buffer of somebody else by copying them.
    """

    def read(self, size: int, /) -> bytes | None:
        """Read at most so many bytes; none at the end."""


def open_empty(path: Path) -> io.FileIO:
    """Open a file to write a blob to it: one that isn't there, or is emptied.

    What is empty already isn't cut: ext4 writes a file that was cut to the disk when it's closed,
    before anything else goes on.

    Raises:
        OSError: if it can't be opened.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        if os.fstat(descriptor).st_size:
            os.ftruncate(descriptor, 0)
        return io.FileIO(descriptor, "wb")
    except BaseException:
        os.close(descriptor)
        raise


class BlobReceiver:
    """Takes in one blob, from its first byte, or from where it broke off.

    It's hashed in a second thread, which costs about as much as receiving and writing together.
    """

    def __init__(
        self,
        descriptor: Descriptor,
        target: BinaryIO,
        what: str,
        progress: Progress | None = None,
    ) -> None:
        """Make a receiver.

        Args:
            descriptor: the size and the digest that it should have.
            target: an empty, unbuffered file or memory to write to.
            what: what errors call it.
            progress: told of what came.
        """
        self.what = what
        self._descriptor = descriptor
        self._target = target
        self._progress = progress
        self._digest = hashlib.sha256()
        self._received = 0

    @property
    def received(self) -> int:
        """How many bytes, from the first on, are hashed and written."""
        return self._received

    def restart(self) -> None:
        """Forget what came."""
        self._report(-self._received)
        self._target.seek(0)
        self._target.truncate()
        self._digest = hashlib.sha256()
        self._received = 0

    def take(self, source: Source) -> None:
        """Take in what comes next, to the end.

        Whatever `source` raises passes through; `received` is right then, too.

        Raises:
            BundleError: if it's more than it should be.
            OSError: if it can't be written.
        """
        if self._descriptor.size - self._received <= _ALONE_BYTES:
            while piece := source.read(_PIECE_BYTES):
                self._digest.update(self._expected(piece))
                self._write(piece)
            return
        with _hashing(self._digest.update) as hash_piece:
            while piece := source.read(_PIECE_BYTES):
                hash_piece(self._expected(piece))
                self._write(piece)

    def finish(self) -> None:
        """Check that it's the blob.

        Raises:
            BundleError: if its size or digest isn't what the descriptor says.
        """
        size = self._descriptor.size
        if self._received != size:
            raise BundleError(
                f"{self.what} has {self._received} bytes, not {size}: it was cut short."
            )
        found = f"sha256:{self._digest.hexdigest()}"
        if found != self._descriptor.digest:
            raise BundleError(
                f"{self.what} has the digest {found}, not {self._descriptor.digest}: "
                "it was altered."
            )

    def _expected(self, piece: bytes) -> bytes:
        if self._received + len(piece) > self._descriptor.size:
            raise BundleError(
                f"{self.what} is larger than the {self._descriptor.size} bytes that it should."
            )
        return piece

    def _write(self, piece: bytes) -> None:
        rest = memoryview(piece)
        while rest:
            rest = rest[self._target.write(rest) :]
        self._received += len(piece)
        self._report(len(piece))

    def _report(self, count: int) -> None:
        if self._progress is not None and count:
            self._progress(count)


@contextmanager
def _hashing(update: Callable[[bytes], None]) -> Iterator[Callable[[bytes], None]]:
    """Hash in a thread what is given to it; who gives too much in advance waits.

    All that was given is hashed at the end of the block.
    """
    room = threading.Semaphore(_PIECES)
    given: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()

    def work() -> None:
        while (piece := given.get()) is not None:
            update(piece)
            room.release()

    def give(piece: bytes) -> None:
        room.acquire()
        given.put(piece)

    thread = threading.Thread(target=work, name="bundle-hash", daemon=True)
    thread.start()
    try:
        yield give
    finally:
        given.put(None)
        thread.join()
