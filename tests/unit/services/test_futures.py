import concurrent.futures
import threading

import pytest

from modelops.contracts import Future, SimReturn, SimStatus
from modelops.core.errors import ServiceError
from modelops.services.futures import SimulationFuture, settle

OUTCOME = SimReturn("id", SimStatus.COMPLETED)


class Owner:
    def __init__(self) -> None:
        self.condition = threading.Condition()
        self.given_up: list[SimulationFuture] = []

    def give_up(self, future: SimulationFuture) -> None:
        self.given_up.append(future)

    def settle(self, future: SimulationFuture, outcome: SimReturn | Exception | None) -> None:
        settle([(future, outcome)], self.condition)


def test_an_outcome_is_delivered_once_to_everyone() -> None:
    owner = Owner()
    future: Future = SimulationFuture(owner)
    seen: list[SimReturn] = []
    future.add_done_callback(lambda done: seen.append(done.result()))

    assert not future.done()
    with pytest.raises(TimeoutError):
        future.result(timeout=0)
    assert isinstance(future, SimulationFuture)
    owner.settle(future, OUTCOME)
    future.add_done_callback(lambda done: seen.append(done.result()))

    assert future.done()
    assert future.result() is OUTCOME
    assert seen == [OUTCOME, OUTCOME]
    assert not future.cancel()


def test_an_error_is_raised_where_the_outcome_is_asked_for() -> None:
    owner = Owner()
    future = SimulationFuture(owner)
    owner.settle(future, ServiceError("no workers"))

    with pytest.raises(ServiceError, match="no workers"):
        future.result()


def test_a_cancelled_future_stays_cancelled() -> None:
    owner = Owner()
    future = SimulationFuture(owner)

    assert future.cancel()
    assert future.cancel()
    owner.settle(future, OUTCOME)

    assert owner.given_up == [future]
    assert future.done()
    with pytest.raises(concurrent.futures.CancelledError):
        future.result()


def test_a_future_that_the_service_gives_up_is_cancelled() -> None:
    owner = Owner()
    future = SimulationFuture(owner)
    owner.settle(future, None)

    with pytest.raises(concurrent.futures.CancelledError):
        future.result()


def test_whoever_waits_is_woken_by_its_own_outcome_alone() -> None:
    owner = Owner()
    first, second = SimulationFuture(owner), SimulationFuture(owner)
    seen: list[SimReturn] = []
    waiting = threading.Thread(target=lambda: seen.append(second.result(30)))
    waiting.start()

    owner.settle(first, OUTCOME)
    assert not second.done()
    other = SimReturn("other", SimStatus.COMPLETED)
    owner.settle(second, other)
    waiting.join()

    assert seen == [other]


def test_an_outcome_is_kept_whatever_comes_later() -> None:
    owner = Owner()
    future = SimulationFuture(owner)
    owner.settle(future, OUTCOME)
    owner.settle(future, ServiceError("late"))

    assert future.result() is OUTCOME
