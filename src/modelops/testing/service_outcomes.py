"""What comes of simulations: their tables, their failures, what they wrote."""
# ruff: noqa: S101 - these are tests; pytest explains a failing assert

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from modelops.contracts import (
    BundleRef,
    FailureReason,
    Scalar,
    SimReturn,
    SimStatus,
    SimTask,
    SimulationService,
)
from modelops.testing.service_suite import (
    SECONDS,
    Gate,
    ServiceSuite,
    contents,
    outcomes_of,
    reason,
    submit_curves,
    table,
)

_LARGE_BYTES = 20 * 10**6
_MAX_LOG = 2**20
_TRIES = 3


class OutcomeChecks(ServiceSuite):
    """The outcome of a task depends on the task alone, and costs no other its own."""

    def test_is_a_simulation_service(self, service: SimulationService) -> None:
        """It has the three methods."""
        assert isinstance(service, SimulationService)

    def test_outcomes_are_those_of_the_model(
        self,
        service: SimulationService,
        bundle_ref: BundleRef,
        model: Mapping[str, Callable[..., Any]],
    ) -> None:
        """Tables, identities and status are what calling the function here gives."""
        inputs = [({"beta": index / 7}, 2**64 - 1 - index) for index in range(30)]
        futures = [
            service.submit("model:simulate", *given, bundle_ref=bundle_ref) for given in inputs
        ]
        outcomes = outcomes_of(futures)
        for outcome, given in zip(outcomes, inputs, strict=True):
            assert contents(outcome) == model["simulate"](*given)
        assert [outcome.task_id for outcome in outcomes] == [
            SimTask(bundle_ref, "model:simulate", *given).task_id for given in inputs
        ]
        assert all(0 <= outcome.seconds < SECONDS for outcome in outcomes)

    @pytest.mark.parametrize("kind", ["arrays", "repeated", "tables"])
    @pytest.mark.parametrize("size", [10, 20_000])
    def test_a_model_may_write_into_what_it_returned(
        self, service: SimulationService, bundle_ref: BundleRef, kind: str, size: int
    ) -> None:
        """Calls that follow in the same process don't change what was returned before."""
        given: dict[str, Scalar] = {"kind": kind, "size": size}
        futures = [
            service.submit("model:reuses", given, seed, bundle_ref=bundle_ref) for seed in range(40)
        ]
        for seed, outcome in enumerate(outcomes_of(futures)):
            for columns in contents(outcome).values():
                assert set(columns["x"]) == {float(seed)}

    def test_gather_keeps_the_order_of_the_futures(
        self, service: SimulationService, bundle_ref: BundleRef
    ) -> None:
        """Whichever ends first."""
        futures = [
            service.submit("model:naps", {"seconds": 0.2 / index}, index, bundle_ref=bundle_ref)
            for index in range(1, 13)
        ]
        mixed = [futures[at] for at in (7, 0, 11, 3, 1, 2, 4, 5, 6, 8, 9, 10)]
        seeds = [contents(outcome)["output"]["seed"] for outcome in service.gather(mixed)]
        assert seeds == [[str(at + 1)] for at in (7, 0, 11, 3, 1, 2, 4, 5, 6, 8, 9, 10)]
        assert service.gather([]) == []

    def test_the_same_task_gives_the_same_tables(
        self, service: SimulationService, bundle_ref: BundleRef
    ) -> None:
        """Byte for byte, in whichever slot and beside whatever else."""
        again = [
            service.submit(f"model:{name}", {"beta": 0.5}, 9, bundle_ref=bundle_ref)
            for name in ("simulate", "order")
            for _ in range(12)
        ]
        submit_curves(service, bundle_ref, 10)
        outcomes = outcomes_of(again)
        for same in (outcomes[:12], outcomes[12:]):
            assert len({outcome.task_id for outcome in same}) == 1
            assert len({tuple(sorted(outcome.tables.items())) for outcome in same}) == 1
            assert same[0].tables

    def test_a_failure_costs_its_own_result_only(
        self, service: SimulationService, bundle_ref: BundleRef
    ) -> None:
        """A model may raise, return what isn't a result, exit, or not be there."""
        expected = outcomes_of(submit_curves(service, bundle_ref, 24))
        failing, others = {}, []
        for index, name in enumerate(("raises", "returns_rubbish", "exits", "absent")):
            others += submit_curves(service, bundle_ref, 24)
            failing[name] = service.submit(f"model:{name}", {}, index, bundle_ref=bundle_ref)
        others += submit_curves(service, bundle_ref, 24)
        failed = {name: future.result(SECONDS) for name, future in failing.items()}
        assert {outcome.status for outcome in failed.values()} == {SimStatus.FAILED}
        assert reason(failed["raises"]) is FailureReason.MODEL
        assert "beta must be positive" in _said(failed["raises"])
        assert reason(failed["returns_rubbish"]).value in ("model", "output")
        assert reason(failed["exits"]) is FailureReason.MODEL
        assert reason(failed["absent"]) is FailureReason.BUNDLE
        assert "absent" in _said(failed["absent"])
        for at, outcome in enumerate(outcomes_of(others)):
            assert outcome.tables == expected[at % 24].tables

    def test_a_bundle_that_is_not_there_is_the_bundles_fault(
        self, service: SimulationService, bundle_ref: BundleRef
    ) -> None:
        """It fails the simulations of that bundle, and no other."""
        self.need_isolation()
        place = (bundle_ref.host, bundle_ref.layout)
        missing = BundleRef(bundle_ref.repository, f"sha256:{'0' * 64}", *place)
        future = service.submit("model:simulate", {"beta": 0.1}, 1, bundle_ref=missing)
        others = submit_curves(service, bundle_ref, 4)
        assert reason(future.result(SECONDS)) is FailureReason.BUNDLE
        assert {outcome.status for outcome in outcomes_of(others)} == {SimStatus.COMPLETED}

    def test_parameters_keep_their_types(
        self, service: SimulationService, bundle_ref: BundleRef
    ) -> None:
        """1, 1.0, True and "1" are four values; whole numbers have no bound, nor has text."""
        params: dict[str, Scalar] = {
            "integer": 1,
            "real": 1.0,
            "truth": True,
            "text": "1",
            "long": -(2**70),
            "precise": 0.1 + 0.2,
            "tiny": 5e-324,
            "huge": 1.7976931348623157e308,
            "empty": "",
            "words": 'é "quoted"\n\t\u2028 \U0001f9a0',
        }
        future = service.submit("model:kinds", params, 2**64 - 1, bundle_ref=bundle_ref)
        none = service.submit("model:kinds", {}, 0, bundle_ref=bundle_ref)
        given = {**params, "seed": 2**64 - 1}
        seen = contents(future.result(SECONDS))["output"]
        shown = dict(zip(seen["name"], zip(seen["kind"], seen["value"], strict=True), strict=True))
        assert shown == {name: (type(value).__name__, repr(value)) for name, value in given.items()}
        assert contents(none.result(SECONDS))["output"]["value"] == ["0"]

    def test_what_the_caller_changes_later_is_its_own(
        self, service: SimulationService, bundle_ref: BundleRef
    ) -> None:
        """Parameters are those of the moment of submitting."""
        params: dict[str, Scalar] = {"beta": 0.25}
        futures = []
        for _ in range(8):
            params["beta"] = 0.25
            futures.append(service.submit("model:kinds", params, 1, bundle_ref=bundle_ref))
            params["beta"] = 9.0
        for outcome in outcomes_of(futures):
            assert contents(outcome)["output"]["value"] == ["0.25", "1"]

    def test_what_a_simulation_writes_is_in_its_own_log(
        self, service: SimulationService, bundle_ref: BundleRef
    ) -> None:
        """Stdout and stderr, in order, whether or not it fails; no word of another's."""
        talking = [
            service.submit(
                "model:talks", {"lines": 40, "raises": seed % 3 == 0}, seed, bundle_ref=bundle_ref
            )
            for seed in range(12)
        ]
        quiet = submit_curves(service, bundle_ref, 12)
        for seed, outcome in enumerate(outcomes_of(talking)):
            assert (outcome.status is SimStatus.FAILED) == (seed % 3 == 0)
            assert outcome.log.splitlines()[:40] == [f"<{seed}> says {at}" for at in range(40)]
            assert outcome.log.count("says") == 40
        assert {outcome.log for outcome in outcomes_of(quiet)} == {""}

    def test_what_is_written_below_python_is_in_the_log(
        self, service: SimulationService, bundle_ref: BundleRef
    ) -> None:
        """As a library in C writes."""
        self.need_isolation()
        futures = [
            service.submit("model:talks_below", {}, seed, bundle_ref=bundle_ref)
            for seed in range(12)
        ]
        for seed, outcome in enumerate(outcomes_of(futures)):
            assert outcome.log == f"<{seed}> to 1\n<{seed}> to 2\n"

    def test_a_log_is_bounded(self, service: SimulationService, bundle_ref: BundleRef) -> None:
        """A model that writes 20 MB has its result; the last of it is kept, less than 1 MB."""
        outcome = service.submit("model:floods", {}, 1, bundle_ref=bundle_ref).result(SECONDS)
        assert outcome.status is SimStatus.COMPLETED
        assert outcome.log.endswith("the last word\n")
        assert len(outcome.log) <= _MAX_LOG

    def test_large_results_come_back_whole(
        self,
        service: SimulationService,
        bundle_ref: BundleRef,
        model: Mapping[str, Callable[..., Any]],
    ) -> None:
        """Tables of 20 MB, beside small ones."""
        large = [
            service.submit("model:fills", {"bytes": _LARGE_BYTES}, seed, bundle_ref=bundle_ref)
            for seed in range(3)
        ]
        small = submit_curves(service, bundle_ref, 10)
        for seed, outcome in enumerate(outcomes_of(large)):
            expected = model["fills"]({"bytes": _LARGE_BYTES}, seed)["numbers"]["number"]
            assert (table(outcome, "numbers")["number"].to_numpy() == expected).all()
        assert {outcome.status for outcome in outcomes_of(small)} == {SimStatus.COMPLETED}

    @pytest.mark.parametrize("function", ["ends", "kills"])
    def test_a_crash_costs_its_own_result_only(
        self, service: SimulationService, bundle_ref: BundleRef, gate: Gate, function: str
    ) -> None:
        """It's tried three times, since a process may die for reasons that aren't the model's."""
        self.need_isolation()
        expected = outcomes_of(submit_curves(service, bundle_ref, 40))
        before = submit_curves(service, bundle_ref, 40)
        future = service.submit(f"model:{function}", gate.params, 7, bundle_ref=bundle_ref)
        after = submit_curves(service, bundle_ref, 40)
        assert reason(future.result(SECONDS)) is FailureReason.CRASH
        assert gate.started() == {7: _TRIES}
        for at, outcome in enumerate(outcomes_of(before + after)):
            assert outcome.tables == expected[at % 40].tables

    def test_a_simulation_that_crashed_once_is_tried_again(
        self, service: SimulationService, bundle_ref: BundleRef, gate: Gate
    ) -> None:
        """It's no failure."""
        self.need_isolation()
        futures = [
            service.submit("model:ends_once", gate.params, seed, bundle_ref=bundle_ref)
            for seed in range(6)
        ]
        for seed, outcome in enumerate(outcomes_of(futures)):
            assert contents(outcome)["output"]["seed"] == [str(seed)]


def _said(outcome: SimReturn) -> str:
    assert outcome.failure is not None
    return outcome.failure.message
