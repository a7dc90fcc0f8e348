"""The preload of a Dask worker: `dask worker … --preload modelops.worker.preload`.

Plugins come this way since those that a client registers are gone with the scheduler.
"""

import asyncio

from distributed import Worker

from modelops.core.logs import log_if_nobody_does
from modelops.worker.lifeline import end_with_starter
from modelops.worker.plugin import PLUGIN, ModelWorkerPlugin
from modelops.worker.prompt_messages import send_promptly
from modelops.worker.readiness import announce
from modelops.worker.retirement import retire_on_signal
from modelops.worker.self_check import answer_checks

_announcements: set[asyncio.Task[None]] = set()


async def dask_setup(worker: Worker) -> None:
    """Make the worker able to run bundles, and its life that of the process that started it."""
    end_with_starter()
    log_if_nobody_does()
    send_promptly(worker.batched_stream)
    plugin = ModelWorkerPlugin()
    # Not caught: a worker that can't run bundles must not take tasks.
    await worker.plugin_add(plugin=plugin, name=PLUGIN, catch_errors=False)
    answer_checks(worker)
    retire_on_signal(worker)
    announcement = asyncio.create_task(_announce_when_registered(worker))
    _announcements.add(announcement)
    announcement.add_done_callback(_announcements.discard)


async def _announce_when_registered(worker: Worker) -> None:
    # Preloads run inside the worker's start, whose end this waits for.
    await worker
    announce(str(worker.name))
