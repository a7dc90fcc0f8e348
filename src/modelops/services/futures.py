"""The future that services hand out: an outcome that is there later.

A service makes and settles tens of thousands of them a second, so all of a service's share one
condition, and carry what the service needs to know of their simulation.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import CancelledError
from typing import Protocol

from modelops.contracts import Future, SimReturn


class Owner(Protocol):
    """Whoever hands futures out."""

    condition: threading.Condition

    def give_up(self, future: "SimulationFuture") -> None:
        """Be told that a future was cancelled."""


class _Cancelled:
    pass


_CANCELLED = _Cancelled()
Outcome = SimReturn | BaseException | None
"""What became of a simulation: None if it was given up."""


class SimulationFuture:
    """A `modelops.contracts.Future` that can be cancelled until its outcome is there.

    Callbacks run in the thread that settles or cancels it; they must be quick and must not close
    the service.

    Attributes:
        call: JSON, the parameters and the seed.
        digest: the task's digest.
        submitted: when it was submitted, in terms of `time.monotonic`.
        crashes: how many children it ended.
        losses: how often the worker that had it was lost.
    """

    __slots__ = (
        "_callbacks",
        "_outcome",
        "_owner",
        "call",
        "crashes",
        "digest",
        "losses",
        "submitted",
    )

    def __init__(self, owner: Owner, call: bytes = b"", digest: bytes = b"") -> None:
        self._owner = owner
        self._outcome: SimReturn | BaseException | _Cancelled | None = None
        self._callbacks: list[Callable[[Future], None]] | None = None
        self.call = call
        self.digest = digest
        self.submitted = time.monotonic()
        self.crashes = self.losses = 0

    def result(self, timeout: float | None = None) -> SimReturn:
        """Wait for the outcome; see `modelops.contracts.Future.result`.

        Raises:
            TimeoutError: if it isn't there after `timeout` seconds.
            concurrent.futures.CancelledError: if it was cancelled.
            ServiceError: if it can't be run for reasons that lie outside it.
        """
        if self._outcome is None and not self._wait(timeout):
            raise TimeoutError(f"The simulation isn't done after {timeout:g} s.")
        outcome = self._outcome
        if isinstance(outcome, SimReturn):
            return outcome
        if isinstance(outcome, BaseException):
            raise outcome
        raise CancelledError

    def done(self) -> bool:
        """Return whether the outcome is there or the future was cancelled."""
        return self._outcome is not None

    def cancelled(self) -> bool:
        """Return whether it was cancelled."""
        return self._outcome is _CANCELLED

    def cancel(self) -> bool:
        """Give the simulation up; return False if it had already ended."""
        if self._outcome is None:
            settle([(self, None)], self._owner.condition)
            if self.cancelled():
                self._owner.give_up(self)
        return self.cancelled()

    def add_done_callback(self, callback: Callable[[Future], None]) -> None:
        """Call `callback` with this future once it's done, from any thread; at once if it is."""
        with self._owner.condition:
            if self._outcome is None:
                self._callbacks = [*(self._callbacks or ()), callback]
                return
        callback(self)

    def _wait(self, timeout: float | None) -> bool:
        condition = self._owner.condition
        with condition:
            return condition.wait_for(lambda: self._outcome is not None, timeout)

    def _take(self, outcome: Outcome) -> list[Callable[[Future], None]]:
        """Take an outcome, and return who is to be told; under the condition's lock."""
        if self._outcome is not None:
            return []
        self._outcome = _CANCELLED if outcome is None else outcome
        self.call = b""
        callbacks, self._callbacks = self._callbacks, None
        return callbacks or []


def settle(
    outcomes: Iterable[tuple[SimulationFuture, Outcome]], condition: threading.Condition
) -> None:
    """Deliver outcomes. A future that has one keeps it; None cancels.

    Args:
        outcomes: of futures of one owner.
        condition: the owner's.
    """
    told: deque[tuple[SimulationFuture, list[Callable[[Future], None]]]] = deque()
    with condition:
        for future, outcome in outcomes:
            callbacks = future._take(outcome)  # noqa: SLF001 - a part of the same class
            if callbacks:
                told.append((future, callbacks))
        condition.notify_all()
    for future, callbacks in told:
        for callback in callbacks:
            callback(future)
