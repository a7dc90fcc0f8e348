"""What a supervisor serves: its workers' counts, added up, and whether they are there."""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from modelops.core.metrics_server import Health, is_wanted, new_registry, start_server
from modelops.worker.worker_metrics import FOLDER_VARIABLE


class GroupMetrics:
    """Metrics of a supervisor and its workers, on one port; none unless the environment says so."""

    def __init__(self) -> None:
        """Make it; nothing is served yet.

        Raises:
            UsageError: if metrics are wanted and the package for them isn't installed.
        """
        self._folder: Path | None = None
        if not is_wanted():
            return
        self._registry = new_registry()
        # It takes a moment to import, and what it doesn't know it needn't.
        from prometheus_client import Counter, multiprocess  # noqa: PLC0415

        self._folder = Path(tempfile.mkdtemp(prefix="modelops-metrics-"))
        collector: Any = multiprocess.MultiProcessCollector
        collector(self._registry, str(self._folder))
        self._restarts = Counter(
            "modelops_worker_restarts",
            "Worker processes that ended by themselves and were started again.",
            registry=self._registry,
        )

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which workers know where to count."""
        return {} if self._folder is None else {FOLDER_VARIABLE: str(self._folder)}

    def serve(self, health: Health, registered: Callable[[], int]) -> None:
        """Serve, until the process ends.

        Args:
            health: whether the supervisor works.
            registered: how many workers are with the scheduler.

        Raises:
            UsageError: if the port can't be had.
        """
        if self._folder is None:
            return
        from prometheus_client import Gauge  # noqa: PLC0415

        gauge = Gauge(
            "modelops_worker_processes",
            "Worker processes that have registered with the scheduler.",
            registry=self._registry,
        )
        gauge.set_function(registered)
        start_server(self._registry, health)

    def worker_ended(self, pid: int) -> None:
        """Be told that a worker has ended: its slots are gone, and what it counted stays."""
        if self._folder is None:
            return
        from prometheus_client import multiprocess  # noqa: PLC0415

        mark: Any = multiprocess.mark_process_dead
        mark(pid, str(self._folder))

    def worker_restarted(self) -> None:
        """Count that a worker is started again."""
        if self._folder is not None:
            self._restarts.inc()

    def close(self) -> None:
        """Remove the counts."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
