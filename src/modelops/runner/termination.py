"""SIGTERM and SIGINT: end cleanly and at once, since the journal makes the run resumable."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class Termination:
    """Ends the process on a signal with the exit code 128 + its number.

    Normally that's a SystemExit where the main thread happens to be. Inside `handled_by` the
    first signal is passed on instead, so that a journal entry or a tell isn't cut in two.
    """

    def __init__(self) -> None:
        self._interrupt: Callable[[], None] | None = None
        self.exit_code: int | None = None

    def install(self) -> None:
        """Take the signals; to be called in the main thread."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._handle)

    @contextmanager
    def handled_by(self, interrupt: Callable[[], None]) -> Iterator[None]:
        """Pass the first signal to `interrupt`, which must be safe in a signal handler."""
        self._interrupt = interrupt
        try:
            yield
        finally:
            self._interrupt = None

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        is_first = self.exit_code is None
        self.exit_code = 128 + number
        if self._interrupt is not None and is_first:
            self._interrupt()
        else:
            raise SystemExit(self.exit_code)
