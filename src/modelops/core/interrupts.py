"""What an interrupt means while engines run: finish first, stop at once the second time."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

_FINISHING = "The engine finishes what it is at, then this stops. Ctrl-C again stops it at once.\n"
_STOPPED = "Stopped at once. The next mops up puts right what was left half done.\n"


class Interrupts:
    """The SIGINTs and SIGTERMs of a time in which engines run, and the engines that they stop."""

    def __init__(self) -> None:
        self._engines: set[subprocess.Popen[str]] = set()
        self._count = 0

    @contextmanager
    def watching(self, engine: subprocess.Popen[str]) -> Iterator[None]:
        """Stop the engine when it's interrupted for the second time; it leads a process group."""
        self._engines.add(engine)
        try:
            yield
        finally:
            self._engines.discard(engine)

    def raise_if_any(self) -> None:
        """Raise KeyboardInterrupt if there was an interrupt."""
        if self._count:
            raise KeyboardInterrupt

    def handle(self, _number: int, _frame: FrameType | None) -> None:
        """Be the signal handler."""
        self._count += 1
        if self._count == 1:
            sys.stderr.write(_FINISHING)
            return
        sys.stderr.write(_STOPPED)
        for engine in tuple(self._engines):
            # What an engine started is in groups of its own, and ends with it.
            with suppress(ProcessLookupError):
                os.killpg(engine.pid, signal.SIGKILL)


_current: Interrupts | None = None


@contextmanager
def interrupts_held() -> Iterator[Interrupts]:
    """Keep SIGINT and SIGTERM from ending this process meanwhile, and give what came of them.

    Inside another such block it's the same one. Only the main thread can hold signals back: a block
    in another thread, without one around it in the main thread, changes nothing.
    """
    global _current  # noqa: PLW0603 — signal handlers belong to the process
    if _current is not None:
        yield _current
        return
    interrupts = Interrupts()
    if threading.current_thread() is not threading.main_thread():
        yield interrupts
        return
    signals = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, interrupts.handle) for number in signals}
    _current = interrupts
    try:
        yield interrupts
    finally:
        _current = None
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def interrupt_noted() -> Iterator[threading.Event]:
    """Give an event that the first SIGINT sets; the second raises KeyboardInterrupt, as ever.

    Where SIGINT is ignored, as in a shell's background, it stays so.

    KeyboardInterrupt comes up wherever the interpreter is, and is lost where that's the callback of
    a finalizer. Who only waits for something notices an event as well. For the main thread.
    """
    noted = threading.Event()
    before = signal.getsignal(signal.SIGINT)

    if before == signal.SIG_IGN:
        yield noted
        return

    def note(_number: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, before)
        noted.set()

    signal.signal(signal.SIGINT, note)
    try:
        yield noted
    finally:
        signal.signal(signal.SIGINT, before)
