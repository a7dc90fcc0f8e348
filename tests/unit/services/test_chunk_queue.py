"""The queue is pure: workers are a few lines here that do what a plan says."""

import json
import threading
from collections import Counter, deque
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelops.contracts import (
    BundleRef,
    FailureReason,
    Isolation,
    SimFailure,
    SimReturn,
    SimStatus,
)
from modelops.services import chunk_queue
from modelops.services.chunk_queue import ChunkQueue, SentChunk
from modelops.services.futures import SimulationFuture, settle
from modelops.worker.answer_builder import AnswerBuilder
from modelops.worker.chunks import Chunk, Done, Function
from modelops.worker.frames import FrameError

REF = BundleRef("a/b", f"sha256:{'0' * 64}")
FUNCTION = Function(REF, "model:simulate")


class Owner:
    def __init__(self) -> None:
        self.condition = threading.Condition()

    def give_up(self, future: SimulationFuture) -> None:
        pass


def futures_of(count: int, owner: Owner) -> list[SimulationFuture]:
    return [
        SimulationFuture(owner, b'[{"x":%d},1]' % index, index.to_bytes(32))
        for index in range(count)
    ]


def answer(values: list[float], seconds: float = 1.0, start: int = 0) -> Done:
    builder = AnswerBuilder()
    for value in values:
        builder.add_scalars({"x": value})
        builder.note(0.0, seconds / len(values), "")
    return Done(builder.encode() if values else b"", seconds=seconds, start=start)


def values_of(sent: SentChunk) -> list[float]:
    calls = json.loads(bytes(Chunk.decode(sent.encode("")).calls))
    return [float(params["x"]) for params, _ in calls]


def queue_with(
    count: int, function: Function = FUNCTION
) -> tuple[ChunkQueue, Owner, list[SimulationFuture]]:
    queue, owner = ChunkQueue(), Owner()
    futures = futures_of(count, owner)
    for future in futures:
        queue.add(function, future)
    return queue, owner, futures


def learn(queue: ChunkQueue, cost: float) -> None:
    """Let a queue know what a simulation costs."""
    (future,) = futures_of(1, Owner())
    queue.add(FUNCTION, future)
    sent = queue.next(1, 0.0)
    assert sent is not None
    list(queue.answered(sent, answer([1.0], cost), 0.0))


@pytest.mark.parametrize(
    ("cost", "waiting", "slots", "size"),
    [
        # As much as takes 200 ms; of what is long, one.
        (0.01, 1_000, 2, 20),
        (0.1, 1_000, 2, 2),
        (10.0, 1_000, 2, 1),
        # At the end each slot gets a share, but none of less than 10 ms of work.
        (0.001, 100, 2, 25),
        (0.001, 8, 2, 8),
        (2**-16, 100_000, 2, 13_108),
        (1e-9, 100_000, 2, 20_000),
    ],
)
def test_a_chunk_is_a_fraction_of_a_second_of_work(
    cost: float, waiting: int, slots: int, size: int
) -> None:
    queue = ChunkQueue()
    learn(queue, cost)
    owner = Owner()
    for future in futures_of(waiting, owner):
        queue.add(FUNCTION, future)

    sent = queue.next(slots, 0.0)

    assert sent is not None
    assert (len(sent.futures), sent.budget) == (size, chunk_queue.BUDGET)


def test_what_costs_nobody_knows_is_shared_out_with_a_small_budget() -> None:
    queue, _, _ = queue_with(1_000)

    sent = queue.next(2, 0.0)

    assert sent is not None
    assert (len(sent.futures), sent.budget) == (250, chunk_queue.UNKNOWN_BUDGET)
    assert len(queue) == 750


def test_what_was_not_done_goes_first() -> None:
    queue, owner, futures = queue_with(8)
    sent = queue.next(1, 0.0)
    assert sent is not None
    assert values_of(sent) == [0, 1, 2, 3]

    settle(queue.answered(sent, answer([0.0, 1.0], 0.1), 0.0), owner.condition)

    assert [future.done() for future in futures] == [True, True] + [False] * 6
    following = queue.next(1, 0.0)
    assert following is not None
    assert values_of(following)[0] == 2


def test_how_many_chunks_wait_follows_from_the_cost() -> None:
    queue, owner, _ = queue_with(10)
    assert queue.chunks_waiting() == 10
    queue = ChunkQueue()
    learn(queue, 0.01)
    for future in futures_of(31, owner):
        queue.add(FUNCTION, future)
    assert queue.chunks_waiting() == 2


def test_functions_take_turns() -> None:
    queue, owner, _ = queue_with(10)
    other = Function(REF, "model:other")
    for future in futures_of(10, owner):
        queue.add(other, future)

    sent = [queue.next(1, 0.0) for _ in range(4)]

    functions = [each.lane.function.fn_ref for each in sent if each]
    assert functions == ["model:simulate", "model:other"] * 2


def test_a_simulation_that_ended_a_child_goes_alone_and_fails_the_third_time() -> None:
    queue, owner, futures = queue_with(8)
    crash = SimFailure(FailureReason.CRASH, "it was killed")
    sizes = []
    for _ in range(3):
        sent = next(
            each for each in iter(lambda: queue.next(1, 0.0), None) if futures[1] in each.futures
        )
        sizes.append(len(sent.futures))
        stopped = Done(stopped_at=sent.futures.index(futures[1]), failure=crash)
        settle(queue.answered(sent, stopped, 0.0), owner.condition)

    assert sizes == [4, 1, 1]
    failure = futures[1].result(0).failure
    assert failure is not None
    assert failure.reason is FailureReason.CRASH
    assert failure.message == "the model's process died 3 times; the last: it was killed"
    assert not futures[0].done()


def test_a_limit_that_was_passed_fails_at_once_and_costs_the_others_nothing() -> None:
    queue, owner, futures = queue_with(4)
    sent = queue.next(1, 0.0)
    assert sent is not None
    late = SimFailure(FailureReason.TIMEOUT, "it took longer than 1 s")

    stopped = Done(stopped_at=1, failure=late, is_final=True)
    settle(queue.answered(sent, stopped, 0.0), owner.condition)

    assert futures[1].result(0).failure == late
    again = queue.next(1, 0.0)
    assert again is not None
    assert values_of(again)[0] == 0


def test_a_bundle_that_can_not_be_used_fails_all() -> None:
    queue, owner, futures = queue_with(4)
    sent = queue.next(1, 0.0)
    assert sent is not None

    failure = SimFailure(FailureReason.BUNDLE, "it isn't there")
    settle(queue.answered(sent, Done(failure=failure), 0.0), owner.condition)

    assert [future.result(0).failure for future in futures[:2]] == [failure, failure]


def test_a_late_chunk_gives_back_all_but_what_its_child_is_at() -> None:
    queue, owner, futures = queue_with(8)
    sent = queue.next(1, 0.0)
    assert sent is not None
    queue.late(sent, 1, False)
    assert len(queue) == 6
    queue.late(sent, 1, True)
    assert len(queue) == 7

    again = queue.next(1, 0.0)
    assert again is not None
    assert values_of(again) == [0, 2, 3, 4]
    settle(queue.answered(again, answer(values_of(again)), 0.0), owner.condition)
    first = futures[0].result(0)
    settle(queue.answered(sent, answer([0.0, 1.0]), 0.0), owner.condition)

    assert futures[1].done()
    assert futures[0].result(0) is first
    # What it hadn't begun isn't queued once more.
    assert len(queue) == 3


def test_a_late_chunk_whose_child_dies_is_run_again_where_it_was() -> None:
    queue, owner, _ = queue_with(8)
    sent = queue.next(1, 0.0)
    assert sent is not None
    queue.late(sent, 1, False)
    crash = SimFailure(FailureReason.CRASH, "it was killed")
    settle(queue.answered(sent, Done(stopped_at=1, failure=crash), 0.0), owner.condition)

    assert len(queue) == 8
    again = queue.next(1, 0.0)
    assert again is not None
    assert values_of(again) == [0]


def test_a_part_is_delivered_before_the_rest() -> None:
    queue, owner, futures = queue_with(8)
    sent = queue.next(1, 0.0)
    assert sent is not None
    settle(queue.answered(sent, answer([0.0, 1.0]), 0.0, is_part=True), owner.condition)
    queue.late(sent, 2, False)
    queue.late(sent, 2, True)

    assert [future.done() for future in futures[:4]] == [True, True, False, False]
    assert len(queue) == 5

    settle(queue.answered(sent, answer([2.0], start=2), 0.0), owner.condition)
    assert futures[2].done()
    assert len(queue) == 5


def test_what_a_lost_part_had_is_run_again() -> None:
    queue, owner, futures = queue_with(8)
    sent = queue.next(1, 0.0)
    assert sent is not None
    settle(queue.answered(sent, answer([2.0, 3.0], 0.001, start=2), 0.0), owner.condition)

    assert [future.done() for future in futures[:4]] == [False, False, True, True]
    again = queue.next(1, 0.0)
    assert again is not None
    assert values_of(again)[:3] == [0, 1, 4]


def test_a_late_chunk_that_says_so_twice_gives_back_once() -> None:
    queue, _, _ = queue_with(8)
    sent = queue.next(1, 0.0)
    assert sent is not None
    queue.late(sent, 1, False)
    queue.late(sent, 1, False)
    assert len(queue) == 6


def test_workers_may_be_lost_three_times() -> None:
    queue, _, futures = queue_with(1)
    for _ in range(2):
        sent = queue.next(1, 0.0)
        assert sent is not None
        assert queue.lost(sent) == []
    sent = queue.next(1, 0.0)
    assert sent is not None
    assert queue.lost(sent) == futures


def test_nobodys_simulations_are_not_sent() -> None:
    queue, _, futures = queue_with(4)
    for future in futures[:3]:
        assert future.cancel()

    sent = queue.next(1, 0.0)

    assert sent is not None
    assert sent.futures == futures[3:]
    assert not sent.is_given_up
    futures[3].cancel()
    assert sent.is_given_up
    assert queue.next(1, 0.0) is None


def test_the_time_of_a_simulation_is_told_by_its_parts() -> None:
    queue, owner = ChunkQueue(tells_timing=True), Owner()
    (future,) = futures_of(1, owner)
    submitted = future.submitted
    queue.add(FUNCTION, future)
    sent = queue.next(1, submitted + 1.0)
    assert sent is not None
    builder = AnswerBuilder()
    builder.add_scalars({"x": 1.0})
    builder.note(0.5, 4.0, "")
    done = Done(builder.encode(), starting=2.0, seconds=4.5)

    ((_, outcome),) = queue.answered(sent, done, submitted + 10.0)

    assert isinstance(outcome, SimReturn)
    assert outcome.timing is not None
    timing = outcome.timing
    parts = (timing.waiting, timing.starting, timing.running, timing.returning)
    assert parts == pytest.approx((1.5, 2.0, 4.0, 2.5))


def test_where_each_has_a_process_of_its_own_each_travels_alone() -> None:
    queue, _, _ = queue_with(3, replace(FUNCTION, isolation=Isolation.FRESH))
    sent = [queue.next(1, 0.0) for _ in range(3)]

    assert [values_of(chunk) for chunk in sent if chunk] == [[0.0], [1.0], [2.0]]


def test_an_answer_to_more_than_was_asked_is_refused() -> None:
    queue, _, _ = queue_with(1)
    sent = queue.next(1, 0.0)
    assert sent is not None
    for wrong in (answer([0.0, 1.0]), answer([0.0], start=1), answer([0.0], start=-1)):
        with pytest.raises(FrameError):
            list(queue.answered(sent, wrong, 0.0))


def be_late(
    data: st.DataObject, queue: ChunkQueue, owner: Owner, chunk: SentChunk, killer: int | None
) -> int:
    """Say that a chunk is late, maybe with a part; return at which position it is."""
    values = values_of(chunk)
    position = data.draw(st.integers(0, len(values) - 1 if killer is None else killer))
    if data.draw(st.booleans()):
        # Otherwise the part was lost on its way.
        part = answer(values[:position])
        settle(queue.answered(chunk, part, 0.0, is_part=True), owner.condition)
    queue.late(chunk, position, False)
    if data.draw(st.booleans()):
        queue.late(chunk, position, True)
    return position


@given(st.data())
def test_whatever_happens_each_simulation_gets_its_own_outcome_once(data: st.DataObject) -> None:
    queue, owner = ChunkQueue(), Owner()
    count = data.draw(st.integers(1, 40))
    futures = futures_of(count, owner)
    heard: Counter[int] = Counter()
    for index, future in enumerate(futures):
        future.add_done_callback(lambda _, index=index: heard.update([index]))
        queue.add(FUNCTION, future)
    crashing = data.draw(st.sets(st.integers(0, count - 1), max_size=3))
    under_way: deque[SentChunk] = deque()
    rounds = 0
    while len(queue) or under_way:
        rounds += 1
        # Faults come to an end, as in the world.
        happens = data.draw(st.integers(0, 4)) if rounds < 60 else 0
        sent = queue.next(2, 0.0)
        if sent is not None:
            under_way.append(sent)
        if under_way and (happens != 1 or sent is None):
            chunk = under_way.popleft() if data.draw(st.booleans()) else under_way.pop()
            values = values_of(chunk)
            killer = next((at for at, x in enumerate(values) if int(x) in crashing), None)
            if happens == 2 and rounds < 60 and max(f.losses for f in chunk.futures) < 2:
                assert queue.lost(chunk) == []
                continue
            start = 0
            done = len(values) if happens != 4 else data.draw(st.integers(1, len(values)))
            if happens == 3:
                start = be_late(data, queue, owner, chunk, killer)
                done = start + 1
            if killer is not None and killer < done:
                crash = SimFailure(FailureReason.CRASH, "it was killed")
                outcome = Done(stopped_at=killer, failure=crash)
            else:
                outcome = answer(values[start:done], data.draw(st.floats(1e-6, 1.0)), start)
            settle(queue.answered(chunk, outcome, 0.0), owner.condition)

    assert heard == Counter(range(count))
    for index, future in enumerate(futures):
        outcome_seen = future.result(0)
        assert outcome_seen.task_id == index.to_bytes(32).hex()
        expected = SimStatus.FAILED if index in crashing else SimStatus.COMPLETED
        assert outcome_seen.status is expected
