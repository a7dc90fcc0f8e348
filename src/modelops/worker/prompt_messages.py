"""Messages of Dask that are sent at once, and not kept.

Dask collects what it sends, 2 ms in a worker, 5 ms in a scheduler and 10 ms in a client. It has no
setting for that. Chunks of simulations are few and large, so that little is gained by collecting,
and a simulation by itself would wait three times. Dask also keeps the last thousand messages of
each stream for whoever looks for its faults; with chunks in them that is tens of megabytes.

`--preload modelops.worker.prompt_messages` makes a scheduler prompt towards its workers.
"""

from collections import deque
from typing import Any

from distributed import Scheduler
from distributed.diagnostics.plugin import SchedulerPlugin

SECONDS = 0.001
"""How long messages are collected."""


def send_promptly(stream: Any) -> None:
    """Let a stream send what it's given; None is nobody's. Any, since Dask's has no types."""
    if stream is not None:
        stream.interval = SECONDS
        stream.recent_message_log = deque(maxlen=0)


class PromptScheduler(SchedulerPlugin):
    """Makes a scheduler prompt towards each worker that comes."""

    def add_worker(self, scheduler: Scheduler, worker: str) -> None:
        """Be told of a worker."""
        streams: Any = scheduler.stream_comms
        send_promptly(streams.get(worker))


async def dask_setup(scheduler: Scheduler) -> None:
    """Be a preload of a scheduler."""
    scheduler.add_plugin(PromptScheduler(), name="modelops-prompt")
