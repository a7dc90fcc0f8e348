"""The shipped suite finds what it is for: each faulty service fails the test of its fault."""

import concurrent.futures
import runpy
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from modelops.contracts import (
    BundleRef,
    FailureReason,
    Future,
    Scalar,
    SimFailure,
    SimReturn,
    SimStatus,
    SimTask,
)
from modelops.core.errors import ServiceError
from modelops.testing import (
    service_control,
    service_futures,
    service_outcomes,
    service_suite,
)
from modelops.testing.service_suite import SLOTS, Gate
from modelops.testing.services import SimulationServiceSuite, write_bundle
from modelops.worker.outputs import to_ipc, to_tables

FUTURES = (TimeoutError, concurrent.futures.CancelledError)
REF = BundleRef("tests/contract", f"sha256:{'0' * 64}")


class Plain:
    """Calls the functions in threads, as far as the tests below need it."""

    slots = SLOTS

    def __init__(self, functions: Mapping[str, Any]) -> None:
        self.functions = functions
        self.pool = ThreadPoolExecutor(self.slots)
        self.futures: list[Future] = []
        self.is_closed = False

    def submit(
        self, fn_ref: str, params: Mapping[str, Scalar], seed: int, *, bundle_ref: BundleRef
    ) -> Future:
        if self.is_closed:
            raise ServiceError("The service is closed.")
        future = self.start(self.task(fn_ref, params, seed, bundle_ref))
        self.futures.append(future)
        return future

    def task(self, fn_ref: str, params: Any, seed: Any, bundle_ref: BundleRef) -> SimTask:
        return SimTask(bundle_ref, fn_ref, params, seed)

    def start(self, task: SimTask) -> Any:
        return self.pool.submit(self.run, task)

    def run(self, task: SimTask) -> SimReturn:
        function = self.functions.get(task.fn_ref.partition(":")[2])
        if function is None:
            return self.failed(task, SimFailure(FailureReason.BUNDLE, f"no {task.fn_ref}"))
        try:
            tables = to_tables(function(self.params(task), task.seed))
        except BaseException as error:  # noqa: BLE001 - all that a model raises is its failure
            return self.failed(task, SimFailure(FailureReason.MODEL, repr(error)))
        encoded = {name: to_ipc(table) for name, table in tables.items()}
        return SimReturn(task.task_id, SimStatus.COMPLETED, encoded)

    def params(self, task: SimTask) -> dict[str, Any]:
        return dict(task.params)

    def failed(self, task: SimTask, failure: SimFailure) -> SimReturn:
        return SimReturn(task.task_id, SimStatus.FAILED, failure=failure)

    def gather(self, futures: Sequence[Future]) -> list[SimReturn]:
        return [future.result() for future in futures]

    def close(self) -> None:
        self.is_closed = True
        self.pool.shutdown(wait=False, cancel_futures=True)


class GathersAsTheyEnd(Plain):
    def gather(self, futures: Sequence[Any]) -> list[SimReturn]:
        return [future.result() for future in concurrent.futures.as_completed(futures)]


class MakesAllReal(Plain):
    def params(self, task: SimTask) -> dict[str, Any]:
        return {
            name: value if isinstance(value, str) else float(value)
            for name, value in task.params.items()
        }


class SeedsByOrder(Plain):
    def run(self, task: SimTask) -> SimReturn:
        self.seed = getattr(self, "seed", 0) + 1
        return super().run(SimTask(task.bundle_ref, task.fn_ref, task.params, self.seed))


class RaisesFailures(Plain):
    def failed(self, task: SimTask, failure: SimFailure) -> SimReturn:
        raise ValueError(failure.message)


class BlamesTheModelForAll(Plain):
    def failed(self, task: SimTask, failure: SimFailure) -> SimReturn:
        return super().failed(task, SimFailure(FailureReason.MODEL, failure.message))


class FailsAllAfterOne(Plain):
    has_failed = False

    def run(self, task: SimTask) -> SimReturn:
        if self.has_failed:
            return super().failed(task, SimFailure(FailureReason.MODEL, "another failed"))
        return super().run(task)

    def failed(self, task: SimTask, failure: SimFailure) -> SimReturn:
        self.has_failed = True
        return super().failed(task, failure)


class StartsAll(Plain):
    slots = 40


class ChecksNothing(Plain):
    def task(self, fn_ref: str, params: Any, seed: Any, bundle_ref: BundleRef) -> SimTask:
        try:
            return super().task(fn_ref, params, seed, bundle_ref)
        except (ValueError, TypeError):
            return SimTask(bundle_ref, "model:simulate", {"beta": 0.0}, 0)


class CallsBackTwice(Plain):
    def start(self, task: SimTask) -> Any:
        future = super().start(task)
        add = future.add_done_callback

        def add_twice(callback: Callable[[Any], None]) -> None:
            add(callback)
            add(callback)

        future.add_done_callback = add_twice
        return future


class TakesWorkWhenClosed(Plain):
    def close(self) -> None:
        pass


class LeavesWhatWaits(Plain):
    def close(self) -> None:
        self.is_closed = True


class GivesUpWhatIsLate(Plain):
    def start(self, task: SimTask) -> Any:
        future = super().start(task)
        result = future.result

        def impatient(timeout: float | None = None) -> Any:
            try:
                return result(timeout)
            except TimeoutError:
                raise concurrent.futures.CancelledError from None

        future.result = impatient
        return future


class HandsAllOutAtOnce(Plain):
    def start(self, task: SimTask) -> Any:
        future = super().start(task)
        result = future.result

        def with_all(timeout: float | None = None) -> Any:
            if concurrent.futures.wait(self.futures, timeout).not_done:
                raise TimeoutError
            return result()

        future.result = with_all
        return future


class HasNoLimit(Plain):
    """Any service here: none of them ends what takes too long."""


class TakesMany(Plain):
    """Takes many simulations at once."""

    def submit_many(
        self,
        fn_ref: str,
        calls: Sequence[tuple[Mapping[str, Scalar], int]],
        *,
        bundle_ref: BundleRef,
    ) -> list[Future]:
        return [self.submit(fn_ref, params, seed, bundle_ref=bundle_ref) for params, seed in calls]


class MixesThemUp(TakesMany):
    """Gives what came of many in another order."""

    def submit_many(
        self,
        fn_ref: str,
        calls: Sequence[tuple[Mapping[str, Scalar], int]],
        *,
        bundle_ref: BundleRef,
    ) -> list[Future]:
        return sorted(
            super().submit_many(fn_ref, calls, bundle_ref=bundle_ref),
            key=lambda future: future.result().task_id,
        )


class Suite(SimulationServiceSuite):
    n_queued = 40


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """What runs one test of the suite on one kind of service."""
    for module in (service_control, service_futures, service_outcomes, service_suite):
        monkeypatch.setattr(module, "SECONDS", 1.0)
    write_bundle(tmp_path / "direct")
    functions = runpy.run_path(str(tmp_path / "direct" / "model.py"))
    gate = Gate(tmp_path / "gate")
    made: list[Plain] = []

    def run(kind: type[Plain], name: str, **arguments: Any) -> None:
        def make(**_: Any) -> Plain:
            made.append(kind(functions))
            return made[-1]

        test = getattr(Suite(), name)
        known = {
            "service": make(),
            "open_service": make,
            "bundle_ref": REF,
            "gate": gate,
            "model": functions,
        }
        wanted = test.__code__.co_varnames[1 : test.__code__.co_argcount]
        test(**{key: {**known, **arguments}[key] for key in wanted})

    yield run
    gate.open()
    for service in made:
        service.pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize(
    ("kind", "name", "arguments"),
    [
        (GathersAsTheyEnd, "test_gather_keeps_the_order_of_the_futures", {}),
        (MakesAllReal, "test_parameters_keep_their_types", {}),
        (SeedsByOrder, "test_outcomes_are_those_of_the_model", {}),
        (SeedsByOrder, "test_the_same_task_gives_the_same_tables", {}),
        (RaisesFailures, "test_a_failure_costs_its_own_result_only", {}),
        (BlamesTheModelForAll, "test_a_failure_costs_its_own_result_only", {}),
        (FailsAllAfterOne, "test_a_failure_costs_its_own_result_only", {}),
        (StartsAll, "test_submitting_never_waits_and_starts_no_more_than_have_room", {}),
        (ChecksNothing, "test_what_is_no_parameter_is_refused_at_once", {"params": {"beta": 1j}}),
        (ChecksNothing, "test_what_is_no_seed_is_refused_at_once", {"seed": True}),
        (ChecksNothing, "test_what_names_no_function_is_refused_at_once", {}),
        (MixesThemUp, "test_many_that_are_submitted_at_once_are_as_each_by_itself", {}),
        (CallsBackTwice, "test_callbacks_are_called_once", {}),
        (TakesWorkWhenClosed, "test_a_closed_service_takes_nothing", {}),
        (LeavesWhatWaits, "test_closing_gives_up_what_is_under_way", {}),
        (GivesUpWhatIsLate, "test_waiting_can_be_bounded", {}),
        (HandsAllOutAtOnce, "test_what_is_done_does_not_wait_for_what_hangs", {}),
        (HasNoLimit, "test_a_simulation_over_its_limit_is_given_up", {}),
    ],
)
def test_each_fault_is_found(
    check: Callable[..., None], kind: type[Plain], name: str, arguments: Mapping[str, Any]
) -> None:
    with pytest.raises((AssertionError, pytest.fail.Exception, ValueError, *FUTURES)):
        check(kind, name, **arguments)


@pytest.mark.parametrize(
    "name",
    [
        "test_is_a_simulation_service",
        "test_outcomes_are_those_of_the_model",
        "test_gather_keeps_the_order_of_the_futures",
        "test_the_same_task_gives_the_same_tables",
        "test_parameters_keep_their_types",
        "test_waiting_can_be_bounded",
        "test_callbacks_are_called_once",
        "test_submitting_never_waits_and_starts_no_more_than_have_room",
        "test_what_is_done_does_not_wait_for_what_hangs",
        "test_what_names_no_function_is_refused_at_once",
        "test_a_closed_service_takes_nothing",
    ],
)
def test_what_has_no_fault_passes(check: Callable[..., None], name: str) -> None:
    check(Plain, name)


def test_a_service_that_takes_many_at_once_passes(check: Callable[..., None]) -> None:
    check(TakesMany, "test_many_that_are_submitted_at_once_are_as_each_by_itself")
