"""The outcomes of a chunk in its child: those that are there can be sent while another call runs.

A call that takes far longer than those before it would hold their outcomes back. A thread sends
them, since the one that calls is busy; as long as a call keeps Python's own lock it can't.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from modelops.contracts import SimFailure
from modelops.worker.answer_builder import AnswerBuilder
from modelops.worker.messages import Ran

MAX_PART_BYTES = 2**18
"""A part may travel by way of a scheduler, so more than this waits for the rest of the chunk."""

Add = Callable[[AnswerBuilder], None]
"""Adds an outcome; if it raises, it has added nothing."""


class ChunkOutcomes:
    """What became of the first simulations of a chunk."""

    def __init__(self, send: Callable[[Ran], None], take_log: Callable[[], str]) -> None:
        """Begin, now.

        Args:
            send: given the outcomes that are sent before the chunk's end.
            take_log: returns what a simulation wrote to stdout and stderr.
        """
        self._send = send
        self._take_log = take_log
        self._lock = threading.Lock()
        self._builder = AnswerBuilder()
        self._failed: list[int] = []
        self._start = 0
        self._begun = self._sent_until = self._until = time.monotonic()

    @property
    def seconds(self) -> float:
        """The time since the beginning."""
        return time.monotonic() - self._begun

    @property
    def is_full(self) -> bool:
        """Whether the chunk should end: a frame has its limits."""
        return self._builder.is_full

    def add(self, add: Add, started: float) -> None:
        """Add the outcome of a call, which began at `started` in terms of `time.monotonic`."""
        with self._lock:
            add(self._builder)
            self._until = now = time.monotonic()
            self._builder.note(started - self._begun, now - started, self._take_log())

    def add_failure(self, failure: SimFailure, started: float) -> None:
        """Add a call that failed."""

        def add(builder: AnswerBuilder) -> None:
            self._failed.append(len(builder))
            builder.add_failure(failure)

        self.add(add, started)

    def own(self) -> None:
        """Copy what may be in memory that the model writes to when it's called again."""
        with self._lock:
            self._builder.own()

    @contextmanager
    def sent_after(self, seconds: float) -> Iterator[None]:
        """Send what is there by then, if the block takes longer."""
        timer = threading.Timer(seconds, self.send)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def send(self) -> None:
        """Send what is there, unless that is nothing or too much."""
        with self._lock:
            if len(self._builder) and self._builder.size <= MAX_PART_BYTES:
                self._send(self._take(self._until, is_part=True))

    def end(self, crash: SimFailure | None = None, *, is_worn: bool = False) -> Ran:
        """Return what wasn't sent.

        Args:
            crash: why the next one ended its copy of the process, if one did.
            is_worn: whether the process should not be used again.
        """
        with self._lock:
            return self._take(time.monotonic(), crash=crash, is_worn=is_worn)

    def _take(self, until: float, **more: Any) -> Ran:
        builder, failed = self._builder, tuple(self._failed)
        ran = Ran(
            answers=builder.encode_parts(),
            count=len(builder),
            failed=failed,
            seconds=until - self._sent_until,
            start=self._start,
            large=tuple(builder.large),
            **more,
        )
        self._start += len(builder)
        self._sent_until = until
        self._builder, self._failed = AnswerBuilder(), []
        return ran
