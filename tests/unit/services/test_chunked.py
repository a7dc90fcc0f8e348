"""A service over a transport that does what a test says."""

import asyncio
import threading
from typing import Any

import pytest

from modelops.contracts import BundleRef, ContractError, Future, SimStatus, SimTask
from modelops.core.errors import ServiceError
from modelops.services.chunked import ChunkedService, ServiceOptions
from modelops.services.transport import Late, WorkersLostError
from modelops.worker.answer_builder import AnswerBuilder
from modelops.worker.chunks import Chunk, Done, Trouble, encode_reply
from modelops.worker.simulating import read_calls

REF = BundleRef("a/b", f"sha256:{'0' * 64}")
SECONDS = 30.0


def answered(data: bytes) -> bytes:
    """Answer each call with its own x."""
    builder = AnswerBuilder()
    for params, _ in read_calls(Chunk.decode(data).calls):
        builder.add_scalars({"x": params["x"]})
        builder.note(0.0, 0.01, "")
    return encode_reply(Done(builder.encode(), seconds=0.01 * len(builder)))


class Place:
    """A transport with one slot: `replies` are what it does with the first chunks."""

    def __init__(self, *replies: bytes | BaseException) -> None:
        self.replies = list(replies)
        self.wanted: list[int] = []
        self.calls: list[Any] = []
        self.sizes: list[int] = []
        self.most = self.running = self.chunks = 0
        self.gate = threading.Event()
        self.gate.set()
        self.broken_slots = 0

    async def open(self, late: Late) -> None:
        self.late = late

    async def slots(self, wanted: int) -> int:
        self.wanted.append(wanted)
        if self.broken_slots:
            self.broken_slots -= 1
            raise RuntimeError("nobody knows")
        return 1

    def notice(self, number: int) -> str:
        return str(number)

    async def run(self, data: bytes) -> bytes:
        self.chunks += 1
        calls = [(params, seed) for params, seed in read_calls(Chunk.decode(data).calls)]
        self.calls += calls
        self.sizes.append(len(calls))
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await asyncio.to_thread(self.gate.wait)
            reply = self.replies.pop(0) if self.replies else answered(data)
        finally:
            self.running -= 1
        if isinstance(reply, BaseException):
            raise reply
        return reply

    async def warm(self, data: bytes) -> None:
        assert Chunk.decode(data).digests == b""

    async def close(self) -> None:
        pass


def submit(service: ChunkedService, count: int) -> list[Future]:
    return [service.submit("m:f", {"x": float(i)}, i, bundle_ref=REF) for i in range(count)]


def test_no_more_than_two_chunks_a_slot_are_under_way() -> None:
    place = Place()
    place.gate.clear()
    with ChunkedService(place, ServiceOptions()) as service:
        futures = submit(service, 500)
        place.gate.set()
        outcomes = [future.result(SECONDS) for future in futures]

    assert {outcome.status for outcome in outcomes} == {SimStatus.COMPLETED}
    assert place.most == 2
    assert place.chunks < 100


def test_what_is_submitted_together_travels_together() -> None:
    place = Place()
    with ChunkedService(place, ServiceOptions()) as service:
        (first,) = submit(service, 1)
        assert first.result(SECONDS).status is SimStatus.COMPLETED
        before = len(place.sizes)
        calls = [({"x": float(i)}, i) for i in range(10)]
        futures = service.submit_many("m:f", calls, bundle_ref=REF)
        ids = [future.result(SECONDS).task_id for future in futures]

    # Two chunks for the one slot: the first is half of what there is, not what came first.
    assert place.sizes[before] == 5
    assert ids == [SimTask(REF, "m:f", params, seed).task_id for params, seed in calls]


def test_of_many_of_which_one_is_wrong_none_is_started() -> None:
    place = Place()
    with ChunkedService(place, ServiceOptions()) as service:
        with pytest.raises(ContractError):
            service.submit_many("m:f", [({"x": 1.0}, 1), ({"x": 1.0}, -1)], bundle_ref=REF)
        (after,) = submit(service, 1)
        after.result(SECONDS)

    assert place.calls == [({"x": 0.0}, 0)]


@pytest.mark.parametrize(
    "lost",
    [
        WorkersLostError("it's gone"),
        encode_reply(Trouble("The worker is closing.", is_passing=True)),
        # Of a library, and not because anybody gave the chunk up.
        asyncio.CancelledError(),
    ],
)
def test_a_chunk_whose_worker_is_lost_is_run_again(lost: bytes | BaseException) -> None:
    with ChunkedService(Place(lost, lost), ServiceOptions()) as service:
        (future,) = submit(service, 1)
        assert future.result(SECONDS).status is SimStatus.COMPLETED
    with ChunkedService(Place(lost, lost, lost), ServiceOptions()) as service:
        (future,) = submit(service, 1)
        with pytest.raises(ServiceError, match="were lost each time"):
            future.result(SECONDS)


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (ServiceError("The scheduler is gone."), "The scheduler is gone"),
        (encode_reply(Trouble("No plugin.")), "No plugin"),
        (b"nonsense", "frame"),
    ],
)
def test_what_can_not_be_run_is_an_error_of_its_future(reply: bytes | Exception, said: str) -> None:
    with ChunkedService(Place(reply), ServiceOptions()) as service:
        (future,) = submit(service, 1)
        with pytest.raises(ServiceError, match=said):
            future.result(SECONDS)
        (following,) = submit(service, 1)
        assert following.result(SECONDS).status is SimStatus.COMPLETED


def test_a_fault_of_a_transport_leaves_nobody_waiting(caplog: pytest.LogCaptureFixture) -> None:
    with ChunkedService(Place(RuntimeError("a fault")), ServiceOptions()) as service:
        (future,) = submit(service, 1)
        with pytest.raises(ServiceError, match="RuntimeError: a fault"):
            future.result(SECONDS)
        (following,) = submit(service, 1)
        assert following.result(SECONDS).status is SimStatus.COMPLETED


def test_an_answer_that_is_none_ends_as_a_crash_after_three_tries() -> None:
    nonsense = encode_reply(Done(b"nonsense", seconds=1.0))
    with ChunkedService(Place(nonsense, nonsense, nonsense), ServiceOptions()) as service:
        (future,) = submit(service, 1)
        failure = future.result(SECONDS).failure

    assert failure is not None
    assert "broke the protocol" in failure.message


def test_slots_are_asked_for_again_after_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modelops.services.dispatcher._SLOTS_SECONDS", 0.01)
    place = Place()
    with ChunkedService(place, ServiceOptions()) as service:
        place.broken_slots = 3
        place.gate.clear()
        futures = submit(service, 100)
        while place.broken_slots or not any(place.wanted[-3:]):
            assert place.wanted
        place.gate.set()
        assert all(future.result(SECONDS) for future in futures)

    assert max(place.wanted) > 10
