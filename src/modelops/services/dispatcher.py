"""What a service does in its event loop: simulations go out in chunks, outcomes come back."""

import asyncio
import itertools
import logging
import threading
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from modelops.contracts import SimReturn
from modelops.core.errors import ServiceError
from modelops.services.chunk_queue import LOSSES_ALLOWED, ChunkQueue, SentChunk, unreadable
from modelops.services.futures import Outcome, SimulationFuture, settle
from modelops.services.profile import Profile
from modelops.services.result_lookup import ResultLookup
from modelops.services.transport import Transport, WorkersLostError
from modelops.worker.chunks import Chunk, Done, Function, LateChunk, Trouble, decode_reply
from modelops.worker.frames import FrameError

CHUNKS_A_SLOT = 2
"""How many chunks are under way for each slot, so that none waits for us."""

_SLOTS_SECONDS = 1.0
"""How often it's asked how many slots there are, while there's something to do."""

_log = logging.getLogger("modelops.services")


def _without_calls(function: Function, *, is_question: bool = False) -> bytes:
    return Chunk(function, b"[]", b"", 0.0, is_question=is_question).encode()


def _unexpected(error: Exception) -> ServiceError:
    return ServiceError(f"The simulation service failed: {type(error).__name__}: {error}")


def _lost_each_time(reason: str) -> ServiceError:
    return ServiceError(
        f"The workers that ran a simulation were lost each time: {reason}",
        hint="See the workers' logs for why they end; model code doesn't run in them.",
    )


class Dispatcher:
    """Looks for stored results, sends the other simulations over a transport, settles all.

    Everything but `waiting` is called in one event loop, so needs no lock.

    Attributes:
        profile: where the time went of what was run, if that is to be told.
    """

    def __init__(
        self, transport: Transport, condition: threading.Condition, *, tells_timing: bool
    ) -> None:
        """Make it; nothing is sent before `open`.

        Args:
            transport: not open yet.
            condition: that of the futures, see `futures.settle`.
            tells_timing: whether outcomes say where the time went.
        """
        self._transport = transport
        self._condition = condition
        self._tells_timing = tells_timing
        self._queue = ChunkQueue(tells_timing=tells_timing)
        self._under_way: dict[int, tuple[SentChunk, asyncio.Task[None]]] = {}
        self._numbers = itertools.count()
        self._slots = 0
        self._lookups: dict[Function, ResultLookup] = {}
        self._reading = ThreadPoolExecutor(1, "stored-results")
        self._told: set[str] = set()
        self._warmed: set[Function] = set()
        self._warming: set[asyncio.Task[None]] = set()
        self.profile = Profile()

    @property
    def waiting(self) -> int:
        """How many simulations wait to be sent; may be asked from any thread."""
        return len(self._queue)

    async def open(self) -> None:
        """Open the transport.

        Raises:
            ServiceError: if it can't be opened.
        """
        loop = asyncio.get_running_loop()

        def tell(number: int, late: LateChunk) -> None:
            loop.call_soon_threadsafe(self._late, number, late)

        await self._transport.open(tell)
        self._slots = await self._transport.slots(0)
        self._asking = loop.create_task(self._ask_for_slots())

    def add(self, function: Function, future: SimulationFuture) -> None:
        """Let a simulation be looked for in the store, if there is one, and wait for its turn."""
        if function.store_url:
            self._lookup(function).add(future)
        else:
            self._queue.add(function, future)

    def dispatch(self) -> None:
        """Send what workers have room for, and end what nobody waits for any more."""
        loop = asyncio.get_running_loop()
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
                self._warming.add(warm := loop.create_task(self._warm(sent.lane.function)))
                warm.add_done_callback(self._warming.discard)
            task = loop.create_task(self._run(number, sent))
            self._under_way[number] = sent, task

    async def close(self) -> None:
        """Cancel all that waits or is under way, and close the transport."""
        left: list[SimulationFuture] = []
        for lookup in self._lookups.values():
            left.extend(lookup.waiting)
            lookup.cancel()
        self._reading.shutdown(cancel_futures=True)
        left.extend(self._queue.drain())
        left.extend(future for sent, _ in self._under_way.values() for future in sent.futures)
        self._settle([(future, None) for future in left])
        running = [task for _, task in self._under_way.values()]
        ending = [*running, *self._warming, self._asking]
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)
        await self._transport.close()

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
        self.dispatch()

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

    async def _warm(self, function: Function) -> None:
        await self._transport.warm(_without_calls(function))

    async def _run(self, number: int, sent: SentChunk) -> None:
        try:
            await self._send(number, sent)
        finally:
            del self._under_way[number]
            self.dispatch()

    async def _send(self, number: int, sent: SentChunk) -> None:
        notice = self._transport.notice(number) if len(sent.futures) > 1 else ""
        try:
            self._answered(sent, decode_reply(await self._transport.run(sent.encode(notice))))
        except WorkersLostError as error:
            self._lost(sent, error.message)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # Not by us: a library has cancelled what the chunk waited for.
            self._lost(sent, "what they would have answered was cancelled")
        except ServiceError as error:
            self._settle([(future, error) for future in sent.futures])
        except Exception as error:
            # A fault of ours or of a library: whoever waits is told, and asyncio logs it.
            self._settle([(future, _unexpected(error)) for future in sent.futures])
            raise

    def _answered(self, sent: SentChunk, reply: Done | Trouble) -> None:
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
        self.dispatch()

    def _settle(self, outcomes: list[tuple[SimulationFuture, Outcome]]) -> None:
        if self._tells_timing:
            for _, outcome in outcomes:
                if isinstance(outcome, SimReturn) and outcome.timing is not None:
                    self.profile.add(outcome.timing)
        settle(outcomes, self._condition)

    async def _ask_for_slots(self) -> None:
        while True:
            await asyncio.sleep(_SLOTS_SECONDS)
            if self._under_way or len(self._queue):
                try:
                    self._slots = await self._transport.slots(self._queue.chunks_waiting())
                except Exception:  # noqa: BLE001 - it's asked again, and the last answer holds
                    _log.exception("The number of slots isn't known.")
                self.dispatch()
