"""What a scheduler serves besides Dask's protocol, where its environment asks for it.

`--preload modelops.worker.scheduler_services` makes a scheduler serve metrics and health
(`core.metrics_server`), and its HTTP pages at MODELOPS_DASHBOARD_PORT to those who show a
certificate of its CA, as on Dask's own port. Dask's own setting for TLS asks nobody for one.
"""

import asyncio
import os
import ssl
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from distributed import Scheduler
from tornado.httpserver import HTTPServer

from modelops.core.errors import ServiceError
from modelops.core.logs import log_if_nobody_does
from modelops.core.metrics_server import (
    Health,
    is_wanted,
    loop_answers,
    new_registry,
    start_server,
)
from modelops.worker.groups import group_of

DASHBOARD_VARIABLE = "MODELOPS_DASHBOARD_PORT"
"""The environment variable with the port of the pages; without it, they aren't served."""
_ANSWER_SECONDS = 3.0


async def dask_setup(scheduler: Scheduler) -> None:
    """Be a preload of a scheduler."""
    log_if_nobody_does()
    port = os.environ.get(DASHBOARD_VARIABLE)
    if port:
        serve_pages(scheduler, int(port))
    if is_wanted():
        loop = asyncio.get_running_loop()
        registry = new_registry()
        registry.register(SchedulerCollector(scheduler, loop))

        def answers() -> str:
            return loop_answers(loop)

        start_server(registry, Health(answers, answers))


def serve_pages(scheduler: Any, port: int) -> HTTPServer:
    """Serve a scheduler's pages where it listens, to clients with a certificate of its CA only.

    Raises:
        ServiceError: if the scheduler itself speaks no TLS.
    """
    context = scheduler.security.get_listen_args("scheduler").get("ssl_context")
    if context is None or context.verify_mode is not ssl.CERT_REQUIRED:
        raise ServiceError(
            "The scheduler asks nobody for a certificate, so its pages aren't served.",
            hint=f"Give it one, or don't set {DASHBOARD_VARIABLE}.",
        )
    server = HTTPServer(scheduler.http_application, ssl_options=context)
    server.listen(port, "0.0.0.0")  # noqa: S104 — as the scheduler does; nobody gets in without
    return server


@dataclass
class GroupCounts:
    """What a scheduler has of one group.

    Attributes:
        workers: how many are there.
        slots: how many tasks they run at a time.
        tasks: state (`processing`, `queued`) → how many.
    """

    workers: int = 0
    slots: int = 0
    tasks: dict[str, int] = field(default_factory=lambda: {"processing": 0, "queued": 0})


def count_groups(scheduler: Any) -> Mapping[str, GroupCounts]:
    """Return what a scheduler has, by group; what belongs to none is under the empty name."""
    found: dict[str, GroupCounts] = defaultdict(GroupCounts)
    for worker in scheduler.workers.values():
        counts = found[group_of(worker.resources)]
        counts.workers += 1
        counts.slots += worker.nthreads
        counts.tasks["processing"] += len(worker.processing)
    for waiting in (scheduler.unrunnable, scheduler.queued):
        for task in waiting:
            found[group_of(task.resource_restrictions or ())].tasks["queued"] += 1
    return found


class SchedulerCollector:
    """Gives prometheus_client what the scheduler has now, read in its event loop."""

    def __init__(self, scheduler: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._scheduler = scheduler
        self._loop = loop

    def collect(self) -> Iterator[Any]:
        """Yield the metrics; none if the loop doesn't answer."""
        from prometheus_client.core import GaugeMetricFamily  # noqa: PLC0415

        async def read() -> Mapping[str, GroupCounts]:
            return count_groups(self._scheduler)

        try:
            groups = asyncio.run_coroutine_threadsafe(read(), self._loop).result(_ANSWER_SECONDS)
        except (TimeoutError, RuntimeError):
            return
        workers = GaugeMetricFamily(
            "modelops_scheduler_workers", "Workers that have registered.", labels=["group"]
        )
        slots = GaugeMetricFamily(
            "modelops_scheduler_slots", "Tasks that can run at a time.", labels=["group"]
        )
        tasks = GaugeMetricFamily(
            "modelops_scheduler_tasks", "Tasks, by state.", labels=["group", "state"]
        )
        for group, counts in sorted(groups.items()):
            workers.add_metric([group], counts.workers)
            slots.add_metric([group], counts.slots)
            for state, count in counts.tasks.items():
                tasks.add_metric([group, state], count)
        yield from (workers, slots, tasks)
