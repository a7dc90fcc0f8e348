"""What all services have in common: simulations come in one by one and travel in chunks."""

import asyncio
import itertools
import logging
import threading
import time
from collections import deque
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self, TypeVar

from modelops.contracts import (
    BundleRef,
    Execution,
    Future,
    PublicKey,
    RunContext,
    Scalar,
    SimReturn,
)
from modelops.contracts.simulation import check_fn_ref, encode_calls
from modelops.core.errors import ServiceError
from modelops.services.chunk_queue import LOSSES_ALLOWED, ChunkQueue, SentChunk, unreadable
from modelops.services.futures import Outcome, SimulationFuture, settle
from modelops.services.garbage import collect_as_before, collect_rarely
from modelops.services.profile import Profile
from modelops.services.result_lookup import ResultLookup
from modelops.services.transport import Transport, WorkersLostError
from modelops.worker.chunks import (
    Chunk,
    Done,
    Function,
    LateChunk,
    Trouble,
    decode_reply,
)
from modelops.worker.frames import FrameError
from modelops.worker.run_watch import RunLimits

CHUNKS_A_SLOT = 2
"""How many chunks are under way for each slot, so that none waits for us."""

_SLOTS_SECONDS = 1.0
"""How often it's asked how many slots there are, while there's something to do."""

_log = logging.getLogger("modelops.services")
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class ServiceOptions:
    """What a service does with simulations, wherever they run.

    Attributes:
        limits: of each simulation.
        execution: how they are run.
        public_key: what every bundle must be signed with; a worker fails the tasks of others.
        store_url: the object store where results are kept and found again; empty for nowhere.
    """

    limits: RunLimits = field(default_factory=RunLimits)
    execution: Execution = field(default_factory=Execution)
    public_key: PublicKey | None = None
    store_url: str = ""


def _without_calls(function: Function, *, is_question: bool = False) -> bytes:
    return Chunk(function, b"[]", b"", 0.0, is_question=is_question).encode()


def _unexpected(error: Exception) -> ServiceError:
    return ServiceError(f"The simulation service failed: {type(error).__name__}: {error}")


def _lost_each_time(reason: str) -> ServiceError:
    return ServiceError(
        f"The workers that ran a simulation were lost each time: {reason}",
        hint="See the workers' logs for why they end; model code doesn't run in them.",
    )


class ChunkedService:
    """A `SimulationService` over a transport. Nothing but frames crosses it.

    A task whose worker is lost is run again. Tasks that are given up end when the model's call
    does, or at their time limit. However many simulations wait, they wait here, where each costs
    some hundred bytes: workers have `CHUNKS_A_SLOT` chunks a slot.

    While one is open, Python's garbage is collected more rarely in this process (`garbage`).

    Attributes:
        profile: where the time went of what was run, if the service was asked to tell.
    """

    def __init__(self, transport: Transport, options: ServiceOptions) -> None:
        """Connect.

        Raises:
            ServiceError: if the transport can't be opened.
        """
        self._options = options
        self._transport = transport
        self._inbox: deque[tuple[Function, SimulationFuture]] = deque()
        self._functions: dict[tuple[str, str], Function] = {}
        self._queue = ChunkQueue(tells_timing=options.execution.profile)
        self._under_way: dict[int, tuple[SentChunk, asyncio.Task[None]]] = {}
        self._numbers = itertools.count()
        self._slots = 0
        self._is_called = False
        self._run_id = "unnamed"
        self._targets: tuple[tuple[str, str], ...] = ()
        self._lookups: dict[Function, ResultLookup] = {}
        self._reading = ThreadPoolExecutor(1, "stored-results")
        self._told: set[str] = set()
        self._warmed: set[Function] = set()
        self._warming: set[asyncio.Task[None]] = set()
        self.profile = Profile()
        self._closing = threading.Lock()
        self._is_closed = False
        self.condition = threading.Condition()
        self._loop = asyncio.new_event_loop()
        # All that follows the comment "on the loop" runs in this thread, so needs no lock.
        self._thread = threading.Thread(target=self._loop.run_forever, name="service", daemon=True)
        self._thread.start()
        try:
            self._await(self._open())
        except BaseException:
            self._is_closed = True
            self._end_loop()
            raise
        collect_rarely()

    @property
    def waiting(self) -> int:
        """How many simulations no worker has got yet; may be asked from any thread."""
        return len(self._inbox) + len(self._queue)

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
        (future,) = self.submit_many(fn_ref, [(params, seed)], bundle_ref=bundle_ref)
        return future

    def submit_many(
        self,
        fn_ref: str,
        calls: Sequence[tuple[Mapping[str, Scalar], int]],
        *,
        bundle_ref: BundleRef,
    ) -> list[Future]:
        """Start simulations and return at once; see `submit` and `SubmitsMany`.

        What comes together travels together: of simulations that come one by one, the first is on
        its way before the second is there.

        Raises:
            ContractError: if a parameter isn't a finite scalar or a seed isn't a uint64.
            ServiceError: if the service is closed.
        """
        encoded = encode_calls(bundle_ref, fn_ref, calls)
        function = self._functions.get((fn_ref, bundle_ref.digest))
        if function is None or function.bundle_ref is not bundle_ref:
            function = self._function(bundle_ref, fn_ref)
        futures = [SimulationFuture(self, *each) for each in encoded]
        self._inbox.extend([(function, future) for future in futures])
        if self._is_closed:
            # Whoever closed it may have emptied the inbox before.
            raise ServiceError("The simulation service is closed.")
        self._call()
        return list(futures)

    def gather(self, futures: Sequence[Future]) -> list[SimReturn]:
        """Wait for all and return their outcomes in the order of `futures`.

        Raises:
            ServiceError: if one can't be run.
            concurrent.futures.CancelledError: if one was cancelled.
        """
        return [future.result() for future in futures]

    def on_start(self, ctx: RunContext) -> None:
        """Keep the results from now on under the run's name; see `HasLifecycle`."""
        self._run_id = ctx.run_id
        self._functions.clear()

    def on_finish(self, ctx: RunContext) -> None:
        """Do nothing: the service may carry another run; see `HasLifecycle`."""

    def give_up(self, future: SimulationFuture) -> None:
        """Be told that a future was cancelled."""
        del future
        self._call()

    def close(self) -> None:
        """Cancel what is under way and disconnect. May be called twice; not from a callback."""
        with self._closing:
            if self._is_closed:
                return
            self._is_closed = True
        collect_as_before()
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

    def _function(self, bundle_ref: BundleRef, fn_ref: str) -> Function:
        """Return what the simulations of a function have in common."""
        options, execution = self._options, self._options.execution
        function = Function(
            bundle_ref,
            fn_ref,
            (),
            execution.isolation,
            execution.environment,
            options.limits,
            options.public_key,
            options.store_url if execution.keep_outputs else "",
            self._run_id,
            self._targets,
        )
        self._functions[fn_ref, bundle_ref.digest] = function
        return function

    def _call(self) -> None:
        """Let the loop look at what there is to do, if it isn't going to anyway."""
        if not self._is_called:
            self._is_called = True
            with self._closing:
                if not self._is_closed:
                    self._loop.call_soon_threadsafe(self._pump)

    def _await(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _end_loop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    # On the loop.

    async def _open(self) -> None:
        await self._transport.open(self._tell_late)
        self._slots = await self._transport.slots(0)
        self._asking = self._loop.create_task(self._ask_for_slots())

    def _tell_late(self, number: int, late: LateChunk) -> None:
        self._loop.call_soon_threadsafe(self._late, number, late)

    def _pump(self) -> None:
        self._is_called = False
        while self._inbox:
            function, future = self._inbox.popleft()
            if function.store_url:
                self._lookup(function).add(future)
            else:
                self._queue.add(function, future)
        self._dispatch()

    def _lookup(self, function: Function) -> ResultLookup:
        lookup = self._lookups.get(function)
        if lookup is None:
            lookup = self._lookups[function] = ResultLookup(
                function,
                environment=self._environment,
                missing=self._not_stored,
                settle=self._settle,
                thread=self._reading,
            )
        return lookup

    def _not_stored(self, function: Function, futures: Iterable[SimulationFuture]) -> None:
        for future in futures:
            self._queue.add(function, future)
        self._dispatch()

    async def _environment(self, function: Function) -> str:
        """Ask a worker in which environment a function's simulations would be run."""
        data = _without_calls(function, is_question=True)
        for _ in range(LOSSES_ALLOWED):
            with suppress(WorkersLostError):
                reply = decode_reply(await self._transport.run(data))
                if isinstance(reply, Done):
                    return reply.environment
                if not reply.is_passing:
                    raise ServiceError(reply.message, hint=reply.hint)
        raise _lost_each_time("they ended before they could answer")

    def _dispatch(self) -> None:
        for given_up, task in list(self._under_way.values()):
            if given_up.is_given_up:
                task.cancel()
        # Without a worker something has to wait for one, so that one is started.
        while len(self._queue) and len(self._under_way) < max(1, CHUNKS_A_SLOT * self._slots):
            sent = self._queue.next(self._slots, time.monotonic())
            if sent is None:
                break
            number = next(self._numbers)
            if sent.lane.function not in self._warmed:
                self._warmed.add(sent.lane.function)
                self._warming.add(warm := self._loop.create_task(self._warm(sent.lane.function)))
                warm.add_done_callback(self._warming.discard)
            task = self._loop.create_task(self._run(number, sent))
            self._under_way[number] = sent, task

    async def _warm(self, function: Function) -> None:
        await self._transport.warm(_without_calls(function))

    async def _run(self, number: int, sent: SentChunk) -> None:
        try:
            await self._send(number, sent)
        finally:
            del self._under_way[number]
            self._dispatch()

    async def _send(self, number: int, sent: SentChunk) -> None:
        notice = self._transport.notice(number) if len(sent.futures) > 1 else ""
        try:
            reply = decode_reply(await self._transport.run(sent.encode(notice)))
        except WorkersLostError as error:
            self._lost(sent, error.message)
        except ServiceError as error:
            self._settle([(future, error) for future in sent.futures])
        except Exception as error:
            # A fault of ours or of a library: whoever waits is told, and asyncio logs it.
            self._settle([(future, _unexpected(error)) for future in sent.futures])
            raise
        else:
            if isinstance(reply, Done):
                self._done(sent, reply)
            elif reply.is_passing:
                self._lost(sent, reply.message)
            else:
                self._refuse(sent, reply)

    def _done(self, sent: SentChunk, done: Done, *, is_part: bool = False) -> None:
        if done.unstored and done.unstored not in self._told:
            self._told.add(done.unstored)
            _log.warning("Results aren't stored: %s", done.unstored)
        now = time.monotonic()
        try:
            outcomes = list(self._queue.answered(sent, done, now, is_part=is_part))
        except FrameError as error:
            if is_part:
                # It's taken for lost: what it had is run again.
                return
            outcomes = list(self._queue.answered(sent, unreadable(error), now))
        self._settle(outcomes)

    def _lost(self, sent: SentChunk, reason: str) -> None:
        error = _lost_each_time(reason)
        self._settle([(future, error) for future in self._queue.lost(sent)])

    def _refuse(self, sent: SentChunk, trouble: Trouble) -> None:
        error = ServiceError(trouble.message, hint=trouble.hint)
        self._settle([(future, error) for future in sent.futures])

    def _late(self, number: int, late: LateChunk) -> None:
        if number not in self._under_way:
            return
        sent, _ = self._under_way[number]
        if late.part:
            part = decode_reply(late.part)
            if isinstance(part, Done):
                self._done(sent, part, is_part=True)
        self._queue.late(sent, late.position, late.is_very_late)
        self._dispatch()

    def _settle(self, outcomes: list[tuple[SimulationFuture, Outcome]]) -> None:
        if self._options.execution.profile:
            for _, outcome in outcomes:
                if isinstance(outcome, SimReturn) and outcome.timing is not None:
                    self.profile.add(outcome.timing)
        settle(outcomes, self.condition)

    async def _ask_for_slots(self) -> None:
        while True:
            await asyncio.sleep(_SLOTS_SECONDS)
            if self._under_way or len(self._queue):
                try:
                    self._slots = await self._transport.slots(self._queue.chunks_waiting())
                except Exception:  # noqa: BLE001 - it's asked again, and the last answer holds
                    _log.exception("The number of slots isn't known.")
                self._dispatch()

    async def _shut_down(self) -> None:
        running = [task for _, task in self._under_way.values()]
        left = [future for _, future in self._inbox]
        for lookup in self._lookups.values():
            left.extend(lookup.waiting)
            lookup.cancel()
        self._reading.shutdown(cancel_futures=True)
        self._inbox.clear()
        left.extend(self._queue.drain())
        left.extend(future for sent, _ in self._under_way.values() for future in sent.futures)
        self._settle([(future, None) for future in left])
        ending = [*running, *self._warming, self._asking]
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)
        await self._transport.close()


class AligningService(ChunkedService):
    """A service whose workers can align large outputs with a run's targets.

    What was stored before is given with its tables: no worker has it.
    """

    def align_outputs(self, targets: Mapping[str, str]) -> None:
        """Align large outputs of what is submitted from now on; see `AlignsOutputs`.

        Raises:
            ContractError: if a function's name isn't one.
        """
        for fn_ref in targets.values():
            check_fn_ref(fn_ref)
        self._targets = tuple(targets.items())
        self._functions.clear()
