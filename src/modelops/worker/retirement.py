"""A Dask worker that has to go: it begins nothing, ends what runs, and gives back what waits.

The supervisor asks for it with RETIRE_SIGNAL. The scheduler is told at once, so that it gives the
worker no more tasks; those that it has got and hasn't begun go to other workers. What the worker
has begun it finishes. Results stay until those who wait have fetched them; what nobody fetches
moves to other workers. Then it leaves, and ends.
"""

import asyncio
import logging
import time
from typing import Any

from distributed import Status, Worker, WorkerPlugin

from modelops.worker.retire_signal import RETIRE_OPERATION, RETIRE_SIGNAL

_PLUGIN = "modelops-retirement"
_FETCH_SECONDS = 2.0
"""How long results wait to be fetched before they move to another worker."""
_AGAIN_SECONDS = 0.5
_WAITS = ("ready", "constrained", "waiting", "fetch", "missing")
"""States of tasks of which a worker has run nothing."""

_log = logging.getLogger("modelops.worker.retirement")


def retire_on_signal(worker: Worker) -> None:
    """Let a worker retire on RETIRE_SIGNAL; to be called in its loop, in the main thread.

    At the message RETIRE_OPERATION it does the same, and then waits for the signal.
    """
    retirement = Retirement(worker)
    asyncio.get_running_loop().add_signal_handler(RETIRE_SIGNAL, retirement.leave)
    worker.handlers[RETIRE_OPERATION] = retirement.begin


class Retirement(WorkerPlugin):
    """How one worker goes; as a plugin it hears of what becomes of its tasks.

    Any, since Dask's workers have hardly any types.
    """

    name = _PLUGIN

    def __init__(self, worker: Any) -> None:
        self._worker = worker
        self._changed = asyncio.Event()
        self._may_leave = asyncio.Event()
        self._given_back: set[Any] = set()
        self._retiring: asyncio.Task[None] | None = None

    def leave(self) -> None:
        """Retire, and leave then."""
        self._may_leave.set()
        self.begin()

    def begin(self) -> None:
        """Begin to retire, unless that has begun."""
        if self._retiring is None:
            self._retiring = asyncio.get_running_loop().create_task(self._retire())

    def transition(self, key: Any, start: Any, finish: Any, **kwargs: Any) -> None:
        """Be told of a task that is in another state."""
        del key, start, finish, kwargs
        self._changed.set()

    async def _retire(self) -> None:
        worker = self._worker
        _log.info("%s retires: %d tasks run", worker.name, worker.state.executing_count)
        await worker.plugin_add(plugin=self, name=_PLUGIN)
        worker.status = Status.closing_gracefully
        await self._finish()
        await self._may_leave.wait()
        await self._finish()
        while worker.data and not await self._moved():
            # Another has to take it over, or whoever wants it comes; either changes this.
            worker.status = Status.closing_gracefully
            await self._wait(_AGAIN_SECONDS)
        _log.info("%s has retired", worker.name)
        await worker.close(nanny=False, reason="modelops-retirement")

    async def _finish(self) -> None:
        """Wait until what runs has ended, and its results were fetched or nobody comes for them."""
        worker = self._worker
        fetched_by = float("inf")
        while True:
            self._changed.clear()
            self._give_back()
            if worker.state.executing_count:
                fetched_by = float("inf")
                await self._changed.wait()
                continue
            now = time.monotonic()
            fetched_by = min(fetched_by, now + _FETCH_SECONDS)
            if not worker.data or now >= fetched_by:
                return
            await self._wait(fetched_by - now)

    def _give_back(self) -> None:
        """Let other workers have the tasks that wait here; the scheduler takes them from us."""
        worker = self._worker
        for task in list(worker.state.tasks.values()):
            if task.state in _WAITS and task.key not in self._given_back:
                self._given_back.add(task.key)
                message = {"op": "reschedule", "key": task.key, "stimulus_id": _PLUGIN}
                worker.batched_send(message)

    async def _moved(self) -> bool:
        """Have other workers take what this one holds; return whether they did."""
        address = self._worker.address
        try:
            told = await self._worker.scheduler.retire_workers(
                workers=[address], close_workers=False, remove=False, stimulus_id=_PLUGIN
            )
        except OSError as error:
            _log.warning("the scheduler can't be told: %s", error)
            return False
        return address in told

    async def _wait(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._changed.wait(), seconds)
        except TimeoutError:
            return
