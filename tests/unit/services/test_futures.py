import concurrent.futures

import pytest

from modelops.contracts import Future, SimReturn, SimStatus
from modelops.core.errors import ServiceError
from modelops.services.futures import SimulationFuture

OUTCOME = SimReturn("id", SimStatus.COMPLETED)


def test_an_outcome_is_delivered_once_to_everyone() -> None:
    future: Future = SimulationFuture(lambda _: None)
    seen: list[SimReturn] = []
    future.add_done_callback(lambda done: seen.append(done.result()))

    assert not future.done()
    with pytest.raises(TimeoutError):
        future.result(timeout=0)
    assert isinstance(future, SimulationFuture)
    future.settle(OUTCOME)
    future.add_done_callback(lambda done: seen.append(done.result()))

    assert future.done()
    assert future.result() is OUTCOME
    assert seen == [OUTCOME, OUTCOME]
    assert not future.cancel()


def test_an_error_is_raised_where_the_outcome_is_asked_for() -> None:
    future = SimulationFuture(lambda _: None)
    future.settle(ServiceError("no workers"))

    with pytest.raises(ServiceError, match="no workers"):
        future.result()


def test_a_cancelled_future_stays_cancelled() -> None:
    given_up: list[SimulationFuture] = []
    future = SimulationFuture(given_up.append)

    assert future.cancel()
    assert future.cancel()
    future.settle(OUTCOME)

    assert given_up == [future]
    assert future.done()
    with pytest.raises(concurrent.futures.CancelledError):
        future.result()
    assert concurrent.futures.wait([future], timeout=0).done == {future}


def test_a_future_that_the_service_gives_up_is_cancelled() -> None:
    future = SimulationFuture(lambda _: None)
    future.settle(None)

    with pytest.raises(concurrent.futures.CancelledError):
        future.result()
