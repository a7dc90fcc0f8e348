"""The future that services hand out."""

import concurrent.futures
from collections.abc import Callable

from modelops.contracts import SimReturn


class SimulationFuture(concurrent.futures.Future[SimReturn]):
    """A `modelops.contracts.Future` that can be cancelled until its outcome is there.

    Callbacks run in the thread that settles or cancels it; they must be quick and must not close
    the service.
    """

    def __init__(self, on_cancel: Callable[["SimulationFuture"], None]) -> None:
        super().__init__()
        self._on_cancel = on_cancel

    def cancel(self) -> bool:
        """Give the simulation up; return False if it had already ended."""
        if self.done():
            return self.cancelled()
        is_cancelled = super().cancel()
        if is_cancelled:
            self._on_cancel(self)
        return is_cancelled

    def settle(self, outcome: SimReturn | BaseException | None) -> None:
        """Deliver what became of it, None if it was given up. To be called once, by the service.

        A future that was cancelled before stays cancelled.
        """
        if outcome is None:
            super().cancel()
        if not self.set_running_or_notify_cancel():
            return
        if isinstance(outcome, SimReturn):
            self.set_result(outcome)
        else:
            self.set_exception(outcome)
