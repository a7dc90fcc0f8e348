"""When a run has had enough: limits that are looked at each time that the algorithm is told."""

import math

from modelops.contracts import Limits, TrialStatus
from modelops.runner.records import TrialOutcome

_HOUR = 3_600.0


class StoppingRule:
    """Follows what the algorithm is told, in that order, and says when to stop.

    Where the order is that of asking, all but the cost depends on losses alone, and not on time.
    """

    def __init__(self, limits: Limits, n_trials: int) -> None:
        """Make it for a run of so many trials at the most."""
        self._limits = limits
        self._n_trials = n_trials
        self._allowed_failures = limits.failures_allowed(n_trials)
        self._told = self._failures = self._in_vain = 0
        self._best = math.inf
        self._seconds = 0.0

    def failure(self, number: int, outcome: TrialOutcome) -> str:
        """Take a trial's outcome; return why the run has failed by that, or nothing."""
        self._told += 1
        self._seconds += outcome.seconds
        if outcome.status is TrialStatus.COMPLETED and outcome.loss is not None:
            self._in_vain = 0 if outcome.loss < self._best else self._in_vain + 1
            self._best = min(self._best, outcome.loss)
            return ""
        self._failures += 1
        self._in_vain += 1
        if self._failures <= self._allowed_failures:
            return ""
        return (
            f"{self._failures} of the first {self._told} trials failed, and the limits allow "
            f"{self._allowed_failures} of {self._n_trials} (max_failures). "
            f"The last, trial {number}, failed with {outcome.reason}: {outcome.message}"
        )

    @property
    def is_in_vain(self) -> bool:
        """Whether not one trial has completed."""
        return self._failures == self._told

    @property
    def enough(self) -> str:
        """Why to stop with what there is; empty if there's no reason."""
        limits = self._limits
        if limits.target_loss is not None and self._best <= limits.target_loss:
            return (
                f"A loss of {self._best:.6g} is good enough: target_loss is {limits.target_loss:g}."
            )
        if limits.patience is not None and self._in_vain >= limits.patience:
            return f"{self._in_vain} trials gave no better loss: patience is {limits.patience}."
        cost = self._seconds / _HOUR * (limits.slot_price or 0.0)
        if limits.max_cost is not None and cost >= limits.max_cost:
            return f"The simulations cost {cost:.2f} US dollars: max_cost is {limits.max_cost:g}."
        return ""

    def time_is_up(self, ended: int) -> str:
        """Return what to say when the run has taken as long as it may, and `ended` trials have."""
        seconds = self._limits.run_timeout or 0.0
        return (
            f"The time is up: run_timeout is {seconds:g} s. "
            f"{ended} of {self._n_trials} trials had ended."
        )
