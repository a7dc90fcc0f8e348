"""What code writes to sys.stdout and sys.stderr, told apart by the thread that wrote it."""

import io
import sys
import threading
from collections import deque
from typing import TextIO

from modelops.worker.model_log import MAX_LOG_BYTES


class _Kept(threading.local):
    """What the current thread has written, if that is kept."""

    parts: deque[str] | None = None
    size = 0


_kept = _Kept()


class _Splitter(io.TextIOBase):
    """Stands for sys.stdout or sys.stderr: keeps what threads write that asked for it."""

    def __init__(self, below: TextIO) -> None:
        self._below = below

    def write(self, text: str) -> int:
        if _kept.parts is None:
            return self._below.write(text)
        _kept.parts.append(text)
        _kept.size += len(text)
        while _kept.size - len(_kept.parts[0]) > MAX_LOG_BYTES:
            _kept.size -= len(_kept.parts.popleft())
        return len(text)

    def flush(self) -> None:
        if _kept.parts is None:
            self._below.flush()

    def writable(self) -> bool:
        return True


_installing = threading.Lock()


def keep_output() -> None:
    """Keep from now on what this thread writes to sys.stdout and sys.stderr."""
    with _installing:
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name)
            if not isinstance(stream, _Splitter):
                setattr(sys, name, _Splitter(stream))
    _kept.parts, _kept.size = deque(), 0


def take_output() -> str:
    """Return the last of what this thread wrote, and forget it."""
    text = "".join(_kept.parts or ())
    _kept.parts, _kept.size = deque(), 0
    return text[-MAX_LOG_BYTES:]
