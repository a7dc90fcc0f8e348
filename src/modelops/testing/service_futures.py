"""Futures: waiting, giving up, being told."""
# ruff: noqa: S101 - these are tests; pytest explains a failing assert

import concurrent.futures
import queue

import pytest

from modelops.contracts import (
    BundleRef,
    ContractError,
    Future,
    SimStatus,
    SimulationService,
    SubmitsMany,
)
from modelops.testing.service_suite import (
    SECONDS,
    SLOTS,
    Gate,
    ServiceSuite,
    contents,
    outcomes_of,
    submit_curves,
)


class FutureChecks(ServiceSuite):
    """A future says once what became of its simulation, or that it was given up."""

    def test_waiting_can_be_bounded(
        self, service: SimulationService, bundle_ref: BundleRef, gate: Gate
    ) -> None:
        """A result that isn't there in time is no outcome: it still comes."""
        future = service.submit("model:waits", gate.params, 1, bundle_ref=bundle_ref)
        assert isinstance(future, Future)
        gate.await_started(1)
        with pytest.raises(TimeoutError):
            future.result(0.05)
        with pytest.raises(TimeoutError):
            future.result(0)
        assert not future.done()
        gate.open()
        assert future.result(SECONDS).status is SimStatus.COMPLETED
        assert future.done()
        # It can be asked again.
        assert contents(future.result(0))["output"]["seed"] == ["1"]

    def test_many_that_are_submitted_at_once_are_as_each_by_itself(
        self, service: SimulationService, bundle_ref: BundleRef
    ) -> None:
        """If the service takes many at once: in their order, or none if one of them is wrong."""
        if not isinstance(service, SubmitsMany):
            pytest.skip("it takes them one by one")
        shared, other = {"beta": 0.5}, {"beta": 0.25}
        calls = [(shared, 7), (shared, 8), (other, 7), (shared, 7)]
        together = service.submit_many("model:simulate", calls, bundle_ref=bundle_ref)
        alone = [
            service.submit("model:simulate", params, seed, bundle_ref=bundle_ref)
            for params, seed in calls
        ]
        outcomes = [future.result(SECONDS) for future in (*together, *alone)]
        assert [
            (outcome.task_id, outcome.status, dict(outcome.tables)) for outcome in outcomes[:4]
        ] == [(outcome.task_id, outcome.status, dict(outcome.tables)) for outcome in outcomes[4:]]
        for wrong in ({"beta": float("nan")}, 1), (shared, -1):
            with pytest.raises(ContractError):
                service.submit_many("model:simulate", [*calls, wrong], bundle_ref=bundle_ref)

    def test_callbacks_are_called_once(
        self, service: SimulationService, bundle_ref: BundleRef, gate: Gate
    ) -> None:
        """With the future, whether they were added before the end or after; each that was added."""
        heard: queue.SimpleQueue[tuple[str, Future]] = queue.SimpleQueue()
        future = service.submit("model:waits", gate.params, 1, bundle_ref=bundle_ref)
        future.add_done_callback(lambda done: heard.put(("first", done)))
        future.add_done_callback(lambda done: heard.put(("second", done)))
        assert heard.empty()
        gate.open()
        told = dict(heard.get(timeout=SECONDS) for _ in range(2))
        assert told == {"first": future, "second": future}
        assert future.done()
        future.add_done_callback(lambda done: heard.put(("late", done)))
        assert heard.get(timeout=SECONDS) == ("late", future)
        # Whatever is told twice would have been by the time that others are told.
        after = submit_curves(service, bundle_ref, 4)
        for other in after:
            other.add_done_callback(lambda done: heard.put(("other", done)))
        assert [heard.get(timeout=SECONDS)[0] for _ in after] == ["other"] * len(after)
        assert heard.empty()

    def test_the_result_is_there_when_a_callback_is_called(
        self, service: SimulationService, bundle_ref: BundleRef
    ) -> None:
        """Without waiting."""
        heard: queue.SimpleQueue[tuple[bool, SimStatus]] = queue.SimpleQueue()
        for future in submit_curves(service, bundle_ref, 20):
            future.add_done_callback(lambda done: heard.put((done.done(), done.result(0).status)))
        for _ in range(20):
            assert heard.get(timeout=SECONDS) == (True, SimStatus.COMPLETED)

    def test_what_is_given_up_costs_no_other(
        self, service: SimulationService, bundle_ref: BundleRef, gate: Gate
    ) -> None:
        """Whether it runs or waits; its callbacks are called all the same."""
        heard: queue.SimpleQueue[Future] = queue.SimpleQueue()
        futures = [
            service.submit("model:waits", gate.params, seed, bundle_ref=bundle_ref)
            for seed in range(10 * SLOTS)
        ]
        gate.await_started(SLOTS)
        running = next(iter(gate.started()))
        waiting = next(seed for seed in reversed(range(len(futures))) if seed not in gate.started())
        given_up = [futures[running], futures[waiting]]
        for future in given_up:
            future.add_done_callback(heard.put)
            assert future.cancel()
            assert future.done()
            with pytest.raises(concurrent.futures.CancelledError):
                future.result(SECONDS)
            assert heard.get(timeout=SECONDS) is future
        gate.open()
        kept = [seed for seed in range(len(futures)) if seed not in (running, waiting)]
        for seed in kept:
            outcome = futures[seed].result(SECONDS)
            assert contents(outcome)["output"]["seed"] == [str(seed)]
        with pytest.raises(concurrent.futures.CancelledError):
            service.gather(futures)
        later = outcomes_of(submit_curves(service, bundle_ref, 4))
        assert {outcome.status for outcome in later} == {SimStatus.COMPLETED}
        assert heard.empty()

    def test_what_has_ended_cannot_be_given_up(
        self, service: SimulationService, bundle_ref: BundleRef
    ) -> None:
        """The outcome stays."""
        (future,) = submit_curves(service, bundle_ref, 1)
        outcome = future.result(SECONDS)
        assert not future.cancel()
        assert future.result(0).tables == outcome.tables
