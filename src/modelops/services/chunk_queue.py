"""Which simulations travel together. Pure: no I/O, no clock, no threads.

Small simulations are sent in chunks of a fraction of a second's work. What one costs is learnt of
the answers. No answer is waited for to learn it: a child stops when a chunk's time is up, and what
is left is queued again, so a chunk that was too large costs little.
"""

import math
from collections import OrderedDict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from modelops.contracts import FailureReason, Isolation, SimFailure, SimReturn, SimStatus, SimTiming
from modelops.services.futures import Outcome, SimulationFuture
from modelops.worker.answers import Answers
from modelops.worker.chunks import Chunk, Done, Function
from modelops.worker.frames import FrameError
from modelops.worker.warm_child import CRASHES_ALLOWED, died_too_often

CHUNK_SECONDS = 0.2
"""How much work is sent at once."""
LEAST_SECONDS = 0.01
"""Chunks aren't made smaller than this to keep more slots busy."""
BUDGET, UNKNOWN_BUDGET = 0.2, 0.05
"""Seconds after which a child begins nothing more; the latter while the cost isn't known."""
MOST_AT_ONCE = 20_000
LOSSES_ALLOWED = 3
"""How often the worker that has a simulation may be lost before it's given up."""

_WEIGHT = 0.3
"""Of the latest chunk in what is taken to be the cost."""


@dataclass
class SentChunk:
    """A chunk that is under way.

    Attributes:
        lane: of which function.
        futures: its simulations.
        calls: what each is called with.
        budget: seconds.
        sent: when, in terms of `time.monotonic`.
        kept: the positions of those that don't wait again because the chunk is late.
    """

    lane: "_Lane"
    futures: list[SimulationFuture]
    calls: list[bytes]
    budget: float
    sent: float
    kept: range = field(init=False)

    def __post_init__(self) -> None:
        self.kept = range(len(self.futures))

    def encode(self, notice: str) -> bytes:
        """Return the frame that a worker gets.

        Args:
            notice: under which name the worker says that it's late.
        """
        calls = b"[%b]" % b",".join(self.calls)
        digests = b"".join([future.digest for future in self.futures])
        return Chunk(self.lane.function, calls, digests, self.budget, notice).encode()

    @property
    def is_given_up(self) -> bool:
        """Whether nobody waits for any of its simulations any more."""
        return all(future.done() for future in self.futures)


@dataclass
class _Lane:
    """The simulations of one function that wait, and what one costs in seconds if it's known."""

    function: Function
    waiting: deque[SimulationFuture] = field(default_factory=deque)
    cost: float | None = None

    def learn(self, cost: float) -> None:
        self.cost = cost if self.cost is None else self.cost + _WEIGHT * (cost - self.cost)


class ChunkQueue:
    """All simulations that wait, in the order in which they came, for each function by itself."""

    def __init__(self, *, tells_timing: bool = False) -> None:
        """Make an empty queue.

        Args:
            tells_timing: whether outcomes say where the time went.
        """
        self._lanes: OrderedDict[Function, _Lane] = OrderedDict()
        self._tells_timing = tells_timing
        self._waiting = 0

    def __len__(self) -> int:
        return self._waiting

    def add(self, function: Function, future: SimulationFuture) -> None:
        """Let a simulation wait for its turn."""
        lane = self._lanes.get(function)
        if lane is None:
            lane = self._lanes[function] = _Lane(function)
        lane.waiting.append(future)
        self._waiting += 1

    def next(self, slots: int, now: float) -> SentChunk | None:
        """Return what to send next; None if nothing waits.

        Args:
            slots: how many simulations can run at the same time.
            now: in terms of `time.monotonic`.
        """
        for _ in range(len(self._lanes)):
            function, lane = next(iter(self._lanes.items()))
            # Functions take turns.
            self._lanes.move_to_end(function)
            taken = list(self._take(lane, _size(lane, slots)))
            if taken:
                budget = UNKNOWN_BUDGET if lane.cost is None else BUDGET
                futures, calls = zip(*taken, strict=True)
                return SentChunk(lane, list(futures), list(calls), budget, now)
        return None

    def chunks_waiting(self) -> int:
        """Return about how many chunks the simulations that wait are; of an unknown cost, each."""
        return sum(
            math.ceil(len(lane.waiting) * min(1.0, (lane.cost or 1.0) / CHUNK_SECONDS))
            for lane in self._lanes.values()
        )

    def drain(self) -> Iterator[SimulationFuture]:
        """Take all that waits out of the queue."""
        for lane in self._lanes.values():
            yield from lane.waiting
            lane.waiting.clear()
        self._waiting = 0

    def answered(
        self, sent: SentChunk, done: Done, now: float, *, is_part: bool = False
    ) -> Iterator[tuple[SimulationFuture, Outcome]]:
        """Yield what became of a chunk's simulations; what isn't done waits again, at the front.

        Args:
            sent: the chunk.
            done: the answer.
            now: in terms of `time.monotonic`.
            is_part: whether another answer will follow; what isn't done doesn't wait again yet.

        Raises:
            FrameError: if the answer isn't one to this chunk.
        """
        answers = Answers(done.answers) if done.answers else None
        count = len(answers) if answers else 0
        answered = range(done.start, done.start + count)
        size = len(sent.futures)
        if done.start < 0 or answered.stop > size or done.stopped_at >= size:
            raise FrameError("a worker answered more simulations than it was given")
        if done.failure is not None and done.stopped_at < 0:
            failed = SimStatus.FAILED
            for future in sent.futures:
                yield future, SimReturn(future.digest.hex(), failed, failure=done.failure)
            return
        if answers and count:
            sent.lane.learn(done.seconds / count)
            for position, future in enumerate(sent.futures[done.start : answered.stop]):
                timing = self._timing(sent, position, done, answers, now)
                yield (
                    future,
                    answers.outcome(
                        position, future.digest.hex(), timing, is_aligned=position in done.aligned
                    ),
                )
        if is_part:
            return
        if done.failure is not None:
            stopped = sent.futures[done.stopped_at]
            stopped.crashes += 1
            if done.is_final:
                yield stopped, _failed(stopped, done.failure)
            elif stopped.crashes >= CRASHES_ALLOWED:
                yield stopped, _failed(stopped, died_too_often(done.failure))
        # A part that came before has been delivered; if it was lost, what it had is run again.
        self._wait_again(sent, [at for at in sent.kept if at not in answered])

    def lost(self, sent: SentChunk) -> list[SimulationFuture]:
        """Let a chunk whose worker was lost wait again; return what was lost too often for that."""
        for future in sent.futures:
            future.losses += 1
        too_often = [at for at in sent.kept if sent.futures[at].losses >= LOSSES_ALLOWED]
        self._wait_again(sent, [at for at in sent.kept if at not in too_often])
        return [sent.futures[at] for at in too_often]

    def late(self, sent: SentChunk, position: int, is_very_late: bool) -> None:
        """Let those of a late chunk wait again that its child hasn't begun, which it won't.

        What it has done comes in a part, or, if its child can't send one, when the one that it's at
        ends. If that takes very long they are run again, which costs a budget's worth of work:
        whichever outcome is first counts.
        """
        kept = range(position if is_very_late else sent.kept.start, position + 1)
        self._wait_again(sent, [at for at in sent.kept if at not in kept])
        sent.kept = range(max(kept.start, sent.kept.start), min(kept.stop, sent.kept.stop))

    def _wait_again(self, sent: SentChunk, positions: list[int]) -> None:
        futures = [sent.futures[at] for at in positions]
        waiting = [future for future in futures if not future.done()]
        sent.lane.waiting.extendleft(reversed(waiting))
        self._waiting += len(waiting)

    def _take(self, lane: _Lane, size: int) -> Iterator[tuple[SimulationFuture, bytes]]:
        """Take simulations that somebody waits for; one that ended a child goes alone."""
        taken = 0
        while lane.waiting and taken < size:
            future = lane.waiting[0]
            if future.crashes and taken:
                return
            lane.waiting.popleft()
            self._waiting -= 1
            # In this order: it may be cancelled meanwhile, and forgets its call then.
            call = future.call
            if future.done():
                continue
            yield future, call
            taken += 1
            if future.crashes:
                return

    def _timing(
        self, sent: SentChunk, position: int, done: Done, answers: Answers, now: float
    ) -> SimTiming | None:
        if not self._tells_timing:
            return None
        before = answers.begun[position]
        running = answers.seconds[position]
        waiting = sent.sent - sent.futures[position].submitted + before
        rest = now - sent.sent - before - done.starting - running
        return SimTiming(waiting, done.starting, running, max(0.0, rest))


def _size(lane: _Lane, slots: int) -> int:
    """Return how many to send: as much as is worth it, but a share for each slot, twice."""
    if lane.function.isolation is Isolation.FRESH:
        return 1
    share = math.ceil(len(lane.waiting) / (2 * slots)) if slots else 1
    if lane.cost is None:
        return min(share, MOST_AT_ONCE)
    cost = max(lane.cost, 1e-9)
    least = int(LEAST_SECONDS / cost)
    return max(1, min(math.ceil(CHUNK_SECONDS / cost), max(share, least), MOST_AT_ONCE))


def _failed(future: SimulationFuture, failure: SimFailure) -> SimReturn:
    return SimReturn(future.digest.hex(), SimStatus.FAILED, failure=failure)


def unreadable(error: FrameError) -> Done:
    """Return what an answer that isn't one stands for: the crash of the chunk's first."""
    failure = SimFailure(FailureReason.CRASH, f"its child broke the protocol: {error.message}")
    return Done(stopped_at=0, failure=failure)
