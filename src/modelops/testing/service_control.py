"""What a service does beside results: limits, queues, refusals, its end."""
# ruff: noqa: S101 - these are tests; pytest explains a failing assert

import concurrent.futures
import math
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

import pytest

from modelops.contracts import (
    BundleRef,
    ContractError,
    FailureReason,
    HasLifecycle,
    RunContext,
    SimStatus,
    SimulationService,
)
from modelops.core.errors import ServiceError
from modelops.testing.service_suite import (
    SECONDS,
    SLOTS,
    Gate,
    ServiceFactory,
    ServiceSuite,
    contents,
    outcomes_of,
    reason,
    submit_curves,
)

_TIMEOUT = 3.0
_GENEROUS_TIMEOUT = 6.0
"""Twenty times what a nap takes, so that a machine that is busy with other things keeps it too."""


class ControlChecks(ServiceSuite):
    """A service keeps to its limits, and gives up all that it holds when it's closed."""

    def test_a_simulation_over_its_limit_is_given_up(
        self, open_service: ServiceFactory, bundle_ref: BundleRef, gate: Gate
    ) -> None:
        """However many hang: the others and those that come later have their results."""
        service = open_service(task_timeout=_TIMEOUT)
        others = submit_curves(service, bundle_ref, 20)
        hanging = [
            service.submit("model:waits", gate.params, seed, bundle_ref=bundle_ref)
            for seed in range(2 * SLOTS)
        ]
        others += submit_curves(service, bundle_ref, 20)
        assert [reason(outcome) for outcome in outcomes_of(hanging)] == [
            FailureReason.TIMEOUT
        ] * len(hanging)
        others += submit_curves(service, bundle_ref, 20)
        assert [outcome.failure for outcome in outcomes_of(others)] == [None] * len(others)
        # It isn't worth another try.
        assert set(gate.started().values()) == {1}

    def test_the_limit_is_each_simulations_own(
        self, open_service: ServiceFactory, bundle_ref: BundleRef
    ) -> None:
        """How many are there, and for how long they wait, counts for nothing."""
        service = open_service(task_timeout=_GENEROUS_TIMEOUT)
        futures = submit_curves(service, bundle_ref, self.n_queued)
        futures += [
            service.submit("model:naps", {"seconds": 0.3}, seed, bundle_ref=bundle_ref)
            for seed in range(24 * SLOTS)
        ]
        assert [outcome.failure for outcome in outcomes_of(futures)] == [None] * len(futures)

    def test_submitting_never_waits_and_starts_no_more_than_have_room(
        self, open_service: ServiceFactory, bundle_ref: BundleRef, gate: Gate
    ) -> None:
        """Thousands may be queued while the first are blocked; all of them come back."""
        service = open_service()
        futures = [
            service.submit("model:waits", gate.params, seed, bundle_ref=bundle_ref)
            for seed in range(self.n_queued)
        ]
        gate.await_started(SLOTS)
        assert len(gate.await_settled()) == SLOTS
        assert not any(future.done() for future in futures)
        gate.open()
        seeds = [contents(outcome)["output"]["seed"][0] for outcome in service.gather(futures)]
        assert seeds == [str(seed) for seed in range(self.n_queued)]
        assert set(gate.started().values()) == {1}

    def test_what_is_done_does_not_wait_for_what_hangs(
        self, service: SimulationService, bundle_ref: BundleRef, gate: Gate
    ) -> None:
        """However the service groups them, and without running them once more."""
        passes = 20
        params = {**gate.params, "passes": passes}
        futures = [
            service.submit("model:waits", params, seed, bundle_ref=bundle_ref)
            for seed in range(passes + SLOTS)
        ]
        outcomes = outcomes_of(futures[:passes])
        assert [outcome.failure for outcome in outcomes] == [None] * passes
        assert not any(future.done() for future in futures[passes:])
        gate.open()
        outcomes_of(futures)
        assert set(gate.started().values()) == {1}

    def test_what_waits_is_started_as_others_end(
        self, open_service: ServiceFactory, bundle_ref: BundleRef
    ) -> None:
        """With room for three, each of sixty has its turn."""
        service = open_service(max_in_flight=3)
        outcomes = outcomes_of(submit_curves(service, bundle_ref, 60))
        assert [outcome.failure for outcome in outcomes] == [None] * len(outcomes)

    @pytest.mark.parametrize(
        "params",
        [
            pytest.param({"beta": object()}, id="object"),
            pytest.param({"beta": math.nan}, id="nan"),
            pytest.param({"beta": -math.inf}, id="infinity"),
            pytest.param({"beta": None}, id="none"),
            pytest.param({"beta": [1.0]}, id="list"),
            pytest.param({"beta": b"1"}, id="bytes"),
            pytest.param({"beta": "\ud800"}, id="lone surrogate"),
            pytest.param({"beta": 1j}, id="complex"),
            pytest.param({"beta": lambda: 1.0}, id="function"),
            pytest.param({1: 1.0}, id="name that is no text"),
        ],
    )
    def test_what_is_no_parameter_is_refused_at_once(
        self, service: SimulationService, bundle_ref: BundleRef, params: Mapping[Any, Any]
    ) -> None:
        """By submitting, and not by a result."""
        with pytest.raises(ContractError):
            service.submit("model:simulate", params, 1, bundle_ref=bundle_ref)

    @pytest.mark.parametrize("seed", [True, -1, 2**64, 2**65, 1.0, "1", None])
    def test_what_is_no_seed_is_refused_at_once(
        self, service: SimulationService, bundle_ref: BundleRef, seed: Any
    ) -> None:
        """A seed is a uint64; a service that refused one goes on."""
        with pytest.raises(ContractError):
            service.submit("model:simulate", {"beta": 0.1}, seed, bundle_ref=bundle_ref)
        (outcome,) = outcomes_of(submit_curves(service, bundle_ref, 1))
        assert outcome.status is SimStatus.COMPLETED

    def test_what_names_no_function_is_refused_at_once(
        self, service: SimulationService, bundle_ref: BundleRef
    ) -> None:
        """A name that could be one is looked up where it runs."""
        with pytest.raises(ContractError):
            service.submit("model.simulate", {"beta": 0.1}, 1, bundle_ref=bundle_ref)

    def test_closing_gives_up_what_is_under_way(
        self, open_service: ServiceFactory, bundle_ref: BundleRef, gate: Gate
    ) -> None:
        """Running or waiting, and though the model doesn't end; what came before stays."""
        service = open_service()
        early = submit_curves(service, bundle_ref, 4)
        expected = [outcome.tables for outcome in outcomes_of(early)]
        futures = [
            service.submit("model:waits", gate.params, seed, bundle_ref=bundle_ref)
            for seed in range(200)
        ]
        gate.await_started(SLOTS)
        with concurrent.futures.ThreadPoolExecutor(1) as another, ExitStack() as at_last:
            at_last.callback(gate.open)
            gathered = another.submit(service.gather, futures)
            service.close()
            with pytest.raises(concurrent.futures.CancelledError):
                gathered.result(SECONDS)
        for future in futures:
            assert future.done()
            with pytest.raises(concurrent.futures.CancelledError):
                future.result(SECONDS)
        assert [outcome.tables for outcome in outcomes_of(early)] == expected

    def test_a_closed_service_takes_nothing(
        self, service: SimulationService, bundle_ref: BundleRef
    ) -> None:
        """It may be closed again, also if it has never run anything."""
        service.close()
        service.close()
        with pytest.raises(ServiceError):
            submit_curves(service, bundle_ref, 1)

    def test_one_service_does_not_close_another(
        self, open_service: ServiceFactory, bundle_ref: BundleRef
    ) -> None:
        """What they share stays there for the others."""
        first, second = open_service(), open_service()
        outcomes_of(submit_curves(first, bundle_ref, 4) + submit_curves(second, bundle_ref, 4))
        first.close()
        outcomes = outcomes_of(submit_curves(second, bundle_ref, 20))
        assert {outcome.status for outcome in outcomes} == {SimStatus.COMPLETED}

    def test_a_run_that_fails_leaves_it_in_order(
        self, service: SimulationService, bundle_ref: BundleRef, gate: Gate
    ) -> None:
        """The hooks of a service that has them are called as the runner calls them."""
        with pytest.raises(RuntimeError, match="the run fails"):
            _fail_a_run(service, bundle_ref, gate)
        gate.open()
        service.close()
        service.close()


def _fail_a_run(service: SimulationService, ref: BundleRef, gate: Gate) -> None:
    context = RunContext("contract-1", {"HOME": "/nowhere"})
    with ExitStack() as run:
        if isinstance(service, HasLifecycle):
            service.on_start(context)
            run.callback(service.on_finish, context)
        future = service.submit("model:waits", gate.params, 1, bundle_ref=ref)
        run.callback(future.cancel)
        gate.await_started(1)
        raise RuntimeError("the run fails")
