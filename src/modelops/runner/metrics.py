"""What a runner serves of its run for those who watch it, where its environment asks for that."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from modelops.contracts import TrialStatus
from modelops.core.metrics_server import Health, is_wanted, new_registry, served
from modelops.runner.driver import RunObserver
from modelops.runner.progress import RunState
from modelops.runner.records import TrialOutcome

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class RunMetrics:
    """A `RunObserver` that counts, with prometheus_client; one for each process."""

    def __init__(self, run_id: str, algorithm: str, n_trials: int | None) -> None:
        """Make it.

        Args:
            run_id: the run.
            algorithm: the algorithm's type.
            n_trials: how many trials are planned, if that is known.

        Raises:
            UsageError: if the package for metrics isn't installed.
        """
        self.registry = new_registry()
        from prometheus_client import Counter, Gauge, Histogram  # noqa: PLC0415

        registry = self.registry
        run = Gauge(
            "modelops_run_info", "The run; always 1.", ["run_id", "algorithm"], registry=registry
        )
        run.labels(run_id, algorithm).set(1)
        planned = Gauge("modelops_trials_planned", "Trials that are planned.", registry=registry)
        planned.set(math.nan if n_trials is None else n_trials)
        self._trials = Counter(
            "modelops_trials",
            "Trials that ended since this runner started, and were recorded.",
            ["outcome"],
            registry=registry,
        )
        for status in (TrialStatus.COMPLETED, TrialStatus.FAILED):
            self._trials.labels(status.value)
        self._failures = Counter(
            "modelops_trial_failures", "Trials that failed.", ["reason"], registry=registry
        )
        self._best = Gauge(
            "modelops_best_loss",
            "The smallest loss that this runner has seen; NaN before the first.",
            registry=registry,
        )
        self._best.set(math.nan)
        self._best_loss = math.inf
        self._restored = Gauge(
            "modelops_trials_restored", "Trials that the journal held.", registry=registry
        )
        self._writes = Histogram(
            "modelops_journal_write_seconds",
            "How long it took to write records to the journal.",
            buckets=_BUCKETS,
            registry=registry,
        )
        self._in_flight = Gauge(
            "modelops_simulations_in_flight",
            "Simulations that the run waits for.",
            registry=registry,
        )
        self._queued = Gauge(
            "modelops_simulations_queued",
            "Those of them that no worker has got yet.",
            registry=registry,
        )

    def watch(self, in_flight: Callable[[], int], queued: Callable[[], int]) -> None:
        """Be told whom to ask, from another thread, how much is under way."""
        self._in_flight.set_function(in_flight)
        self._queued.set_function(queued)

    def resumed(self, asked: int, ended: int, restored: int) -> None:
        """See `RunObserver`; this and all others."""
        del asked, restored
        self._restored.set(ended)

    def trial_ended(self, trial: int, outcome: TrialOutcome) -> None:
        """See `RunObserver`."""
        del trial
        self._trials.labels(outcome.status.value).inc()
        if outcome.status is not TrialStatus.COMPLETED:
            self._failures.labels(outcome.reason or "unknown").inc()
        elif outcome.loss is not None and outcome.loss < self._best_loss:
            self._best_loss = outcome.loss
            self._best.set(outcome.loss)

    def turned(self, state: RunState) -> None:
        """See `RunObserver`."""

    def wrote(self, seconds: float) -> None:
        """See `RunObserver`."""
        self._writes.observe(seconds)


class Observers:
    """Tells several observers of a run."""

    def __init__(self, observers: Sequence[RunObserver]) -> None:
        self._observers = observers

    def resumed(self, asked: int, ended: int, restored: int) -> None:
        """See `RunObserver`; this and all others."""
        for observer in self._observers:
            observer.resumed(asked, ended, restored)

    def trial_ended(self, trial: int, outcome: TrialOutcome) -> None:
        """See `RunObserver`."""
        for observer in self._observers:
            observer.trial_ended(trial, outcome)

    def turned(self, state: RunState) -> None:
        """See `RunObserver`."""
        for observer in self._observers:
            observer.turned(state)

    def wrote(self, seconds: float) -> None:
        """See `RunObserver`."""
        for observer in self._observers:
            observer.wrote(seconds)


@contextmanager
def watched(
    run_id: str, algorithm: str, n_trials: int | None, ready: Callable[[], str]
) -> Iterator[RunMetrics | None]:
    """Serve a run's metrics and health while the block lasts, if they are wanted.

    Args:
        run_id: the run.
        algorithm: the algorithm's type.
        n_trials: how many trials are planned.
        ready: why the run doesn't go on now, or nothing.

    Raises:
        UsageError: if they can't be served.
    """
    if not is_wanted():
        yield None
        return
    metrics = RunMetrics(run_id, algorithm, n_trials)
    with served(metrics.registry, Health(ready=ready)):
        yield metrics
