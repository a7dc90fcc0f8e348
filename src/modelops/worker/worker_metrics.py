"""What a worker process counts. Several of them are one target: their supervisor adds them up.

Each process keeps its counts in files of the folder that PROMETHEUS_MULTIPROC_DIR names
(prometheus_client's multiprocess mode). Without that variable nothing is counted.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from modelops.contracts import FailureReason

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""The environment variable with the folder of the counts, as prometheus_client calls it."""


class WorkerMetrics:
    """Counts nothing."""

    def has_slots(self, count: int) -> None:
        """Count the slots of this process."""

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Count a slot as busy while the block lasts."""
        yield

    def simulated(self, count: int, failed: int, seconds: float) -> None:
        """Count simulations that ended, of which so many failed; together they took `seconds`."""

    def opened_bundle(self, pulled_bytes: int) -> None:
        """Count that a bundle was opened for which so many bytes were pulled; 0 if it was there."""

    def child_ended(self, reason: FailureReason) -> None:
        """Count a child that a simulation ended, or that was ended for it."""


class CountedMetrics(WorkerMetrics):
    """Counts with prometheus_client; at most one in a process."""

    def __init__(self) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge  # noqa: PLC0415

        # Where the counts go is the folder; this registry is nobody's to read.
        registry = CollectorRegistry()
        self._simulations = Counter(
            "modelops_simulations", "Simulations that ended.", ["outcome"], registry=registry
        )
        self._seconds = Counter(
            "modelops_simulation_seconds", "Time that simulations took.", registry=registry
        )
        self._requests = Counter(
            "modelops_bundle_cache_requests",
            "Bundles that were opened.",
            ["result"],
            registry=registry,
        )
        self._pulled = Counter(
            "modelops_bundle_pulled_bytes", "Bytes of bundles that came.", registry=registry
        )
        self._children = Counter(
            "modelops_children_ended",
            "Child processes that simulations ended, or that were ended for them.",
            ["reason"],
            registry=registry,
        )
        self._slots = Gauge(
            "modelops_worker_slots",
            "Simulations that can run at a time.",
            multiprocess_mode="livesum",
            registry=registry,
        )
        self._busy = Gauge(
            "modelops_worker_busy_slots",
            "Slots that run simulations, or make a bundle ready for them.",
            multiprocess_mode="livesum",
            registry=registry,
        )
        # So that a rate can be taken from the first one on.
        for outcome in ("completed", "failed"):
            self._simulations.labels(outcome)
        for result in ("hit", "miss"):
            self._requests.labels(result)

    def has_slots(self, count: int) -> None:
        """See the base class; this and all others."""
        self._slots.set(count)

    @contextmanager
    def busy(self) -> Iterator[None]:
        """See the base class."""
        with self._busy.track_inprogress():
            yield

    def simulated(self, count: int, failed: int, seconds: float) -> None:
        """See the base class."""
        self._simulations.labels("completed").inc(count - failed)
        self._simulations.labels("failed").inc(failed)
        self._seconds.inc(max(0.0, seconds))

    def opened_bundle(self, pulled_bytes: int) -> None:
        """See the base class."""
        self._requests.labels("miss" if pulled_bytes else "hit").inc()
        self._pulled.inc(pulled_bytes)

    def child_ended(self, reason: FailureReason) -> None:
        """See the base class."""
        self._children.labels(reason.value).inc()


NO_METRICS = WorkerMetrics()


def worker_metrics(environ: Mapping[str, str] = os.environ) -> WorkerMetrics:
    """Return what counts in this process, as its environment says."""
    return CountedMetrics() if environ.get(FOLDER_VARIABLE) else NO_METRICS
