"""What a model writes to stdout and stderr: a file without a name that child and parent share.

The child takes what each simulation wrote; what a child wrote that died, its parent reads.
"""

import contextlib
import fcntl
import os
import sys
import tempfile
from dataclasses import replace

from modelops.contracts import SimFailure

MAX_LOG_BYTES = 8_192
"""How much of what a model writes is kept: the last of it."""
MAX_WRITTEN_BYTES = 256 * 2**20
"""How much it may write in one call; more would fill the disk."""


class ModelLog:
    """The file, from either side."""

    def __init__(self, descriptor: int) -> None:
        """Use the file of a descriptor that `new_file` made."""
        self._descriptor = descriptor

    @staticmethod
    def new_file() -> int:
        """Return the descriptor of a new file, to be closed by the caller.

        Raises:
            OSError: if it can't be made.
        """
        with tempfile.TemporaryFile(buffering=0) as file:
            descriptor = os.dup(file.fileno())
        # So that whoever writes to it goes on at its end, also after it was emptied.
        flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
        fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | os.O_APPEND)
        return descriptor

    @property
    def size(self) -> int:
        """How many bytes there are."""
        return os.fstat(self._descriptor).st_size

    def tail(self) -> str:
        """Return the last MAX_LOG_BYTES."""
        data = os.pread(self._descriptor, MAX_LOG_BYTES, max(0, self.size - MAX_LOG_BYTES))
        return data.decode("utf-8", "backslashreplace")

    def take(self) -> str:
        """Return the last MAX_LOG_BYTES that this process wrote, and empty the file."""
        self.flush()
        if not self.size:
            return ""
        text = self.tail()
        os.ftruncate(self._descriptor, 0)
        return text

    def flush(self) -> None:
        """Bring to the file what Python's own streams still hold."""
        for stream in (sys.__stdout__, sys.__stderr__):
            # The model may have closed it.
            with contextlib.suppress(OSError, ValueError):
                if stream is not None:
                    stream.flush()

    def empty(self) -> None:
        """Forget what was written so far."""
        self.take()


def with_log(failure: SimFailure, log: str) -> SimFailure:
    """Return a failure whose details show what the model wrote."""
    if not log:
        return failure
    details = "\n".join(part for part in (failure.details, f"The model wrote:\n{log}") if part)
    return replace(failure, details=details)
