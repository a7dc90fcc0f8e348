"""Simulations on a Dask cluster whose workers run bundles (`modelops.worker.preload`)."""

import asyncio
import itertools
import threading
import uuid
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar

from distributed import CancelledError as DaskCancelledError
from distributed import Client, KilledWorker

from modelops.contracts import BundleRef, Future, Scalar, SimReturn, SimTask
from modelops.core.errors import ServiceError
from modelops.services.futures import SimulationFuture
from modelops.worker.frames import decode, encode
from modelops.worker.groups import group_resource
from modelops.worker.messages import Simulate, Trouble, to_answer, to_frame
from modelops.worker.plugin import run_task

MAX_IN_FLIGHT = 1_000
"""How many tasks the scheduler knows at a time; the rest waits here, where it costs little."""
LOSSES_ALLOWED = 3
"""How often Dask may call a task the killer of its workers before it's given up.

Each time stands for as many dead workers as the scheduler's `allowed-failures` says.
"""

_Result = TypeVar("_Result")


class DaskSimulationService:
    """A `SimulationService` on Dask: one Dask task a simulation.

    The scheduler and the workers are to be started with `dask_settings`. Only frames cross Dask.
    A task whose worker is lost is run again. Tasks that are given up end when the model's call
    does, or at their time limit.
    """

    def __init__(
        self,
        scheduler: str | Client,
        *,
        task_timeout: float | None = None,
        worker_group: str | None = None,
        connect_timeout: float = 30.0,
    ) -> None:
        """Connect.

        Args:
            scheduler: its address, or a client of it, which stays the caller's to close.
            task_timeout: seconds that the call of a model may take.
            worker_group: the group whose workers run the tasks; without one all workers do.
            connect_timeout: seconds to wait for the scheduler, now and when it went away.

        Raises:
            ServiceError: if the scheduler doesn't answer.
        """
        self._task_timeout = task_timeout
        self._resources = None if worker_group is None else {group_resource(worker_group): 1}
        self._waiting: OrderedDict[SimulationFuture, SimTask] = OrderedDict()
        self._running: dict[SimulationFuture, asyncio.Task[SimReturn]] = {}
        self._numbers = itertools.count()
        self._token = uuid.uuid4().hex[:8]
        self._closing = threading.Lock()
        self._is_closed = False
        self._loop = asyncio.new_event_loop()
        # All that follows the comments "on the loop" runs in this thread, so needs no lock.
        self._thread = threading.Thread(target=self._loop.run_forever, name="dask", daemon=True)
        self._thread.start()
        try:
            self._client = self._await(_connect(scheduler, connect_timeout))
        except ServiceError:
            self._is_closed = True
            self._end_loop()
            raise

    def submit(
        self, fn_ref: str, params: Mapping[str, Scalar], seed: int, *, bundle_ref: BundleRef
    ) -> Future:
        """Start a simulation and return at once.

        The future's `result` raises ServiceError if the simulation can't be run for reasons that
        lie outside it: the scheduler is gone for good, a worker lacks the plugin.

        Raises:
            ContractError: if a parameter isn't a finite scalar or the seed isn't a uint64.
            ServiceError: if the service is closed.
        """
        task = SimTask(bundle_ref, fn_ref, params, seed)
        future = SimulationFuture(self._give_up)
        with self._closing:
            if self._is_closed:
                raise ServiceError("The simulation service is closed.")
            self._loop.call_soon_threadsafe(self._enqueue, future, task)
        return future

    def gather(self, futures: Sequence[Future]) -> list[SimReturn]:
        """Wait for all and return their outcomes in the order of `futures`.

        Raises:
            ServiceError: if one can't be run.
            concurrent.futures.CancelledError: if one was cancelled.
        """
        return [future.result() for future in futures]

    def close(self) -> None:
        """Cancel what is under way and disconnect. May be called twice; not from a callback."""
        with self._closing:
            if self._is_closed:
                return
            self._is_closed = True
        self._await(self._shut_down())
        self._end_loop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _give_up(self, future: SimulationFuture) -> None:
        with self._closing:
            if not self._is_closed:
                self._loop.call_soon_threadsafe(self._drop, future)

    def _await(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _end_loop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    # On the loop.

    def _enqueue(self, future: SimulationFuture, task: SimTask) -> None:
        self._waiting[future] = task
        self._fill()

    def _fill(self) -> None:
        while self._waiting and len(self._running) < MAX_IN_FLIGHT:
            future, task = self._waiting.popitem(last=False)
            self._running[future] = self._loop.create_task(self._run(task))
            self._running[future].add_done_callback(partial(self._settle, future))

    def _settle(self, future: SimulationFuture, ended: asyncio.Task[SimReturn]) -> None:
        del self._running[future]
        if ended.cancelled():
            future.settle(None)
        else:
            future.settle(ended.exception() or ended.result())
        self._fill()

    def _drop(self, future: SimulationFuture) -> None:
        if future in self._running:
            self._running[future].cancel()
        elif self._waiting.pop(future, None):
            future.settle(None)

    async def _shut_down(self) -> None:
        while self._waiting:
            self._waiting.popitem()[0].settle(None)
        running = list(self._running.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await self._client.close()

    async def _run(self, task: SimTask) -> SimReturn:
        data = encode(to_frame(Simulate(task, self._task_timeout)))
        reason = ""
        for _ in range(LOSSES_ALLOWED):
            try:
                answer = to_answer(decode(await self._run_on_dask(task, data)))
            except KilledWorker as error:
                reason = str(error)
                continue
            if isinstance(answer, SimReturn) and answer.task_id == task.task_id:
                return answer
            if not isinstance(answer, Trouble):
                raise ServiceError(f"A worker answered another task than {task.task_id}.")
            if not answer.is_passing:
                raise ServiceError(answer.message, hint=answer.hint)
            reason = answer.message
        raise ServiceError(
            f"The workers that ran task {task.task_id} were lost each time: {reason}",
            hint="See the workers' logs for why they end; model code doesn't run in them.",
        )

    async def _run_on_dask(self, task: SimTask, data: bytes) -> bytes:
        while True:
            if self._client.status not in ("running", "connecting"):
                raise ServiceError(
                    "The Dask scheduler is gone.", hint="See whether it runs: mops status"
                )
            number = next(self._numbers)
            # Never the same key twice, so that Dask can't take one submission for another.
            key = f"simulate-{task.task_id}-{self._token}-{number}"
            dask_future = self._client.submit(
                run_task, data, key=key, pure=False, resources=self._resources
            )
            try:
                error = await dask_future.exception()
                if error is not None and not isinstance(error, KilledWorker):
                    raise ServiceError(f"A Dask worker can't run tasks: {error!r}") from error
                result: bytes = await dask_future
            except DaskCancelledError:
                # We cancel by dropping the future: this is a scheduler that was lost or restarted.
                continue
            else:
                return result
            finally:
                dask_future.release()


async def _connect(scheduler: Any, seconds: float) -> Any:
    """Return a client of our own loop; the one that a caller gave has its own.

    Any, since Dask's client has hardly any types.
    """
    address, security = scheduler, None
    if not isinstance(scheduler, str):
        address, security = scheduler.scheduler.address, scheduler.security
    options: dict[str, Any] = {"security": security, "timeout": seconds, "set_as_default": False}
    connect: Callable[..., Awaitable[Any]] = Client
    try:
        return await connect(address, asynchronous=True, **options)
    except (OSError, TimeoutError) as error:
        raise ServiceError(
            f"The Dask scheduler at {address} doesn't answer: {error}",
            hint="See whether it runs (mops status) and whether the address is right.",
        ) from error
