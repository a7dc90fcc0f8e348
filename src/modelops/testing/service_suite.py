"""What a simulation service's contract is checked with: a gate that holds simulations, tables."""
# ruff: noqa: S101 - these are tests; pytest explains a failing assert

import runpy
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, ClassVar, Protocol

import pyarrow as pa
import pytest

from modelops.contracts import (
    BundleRef,
    FailureReason,
    Future,
    Scalar,
    SimReturn,
    SimStatus,
    SimulationService,
)
from modelops.testing.service_bundle import write_bundle

SECONDS = 50.0
"""How long anything may take before a test fails."""
SLOTS = 2
_SETTLED_SECONDS = 0.5
_LOOK_SECONDS = 0.02


class ServiceFactory(Protocol):
    """Makes a service that the suite closes."""

    def __call__(
        self,
        *,
        task_timeout: float | None = None,
        slots: int = SLOTS,
        max_in_flight: int | None = None,
    ) -> SimulationService:
        """Make a service.

        Args:
            task_timeout: seconds that one simulation may take.
            slots: how many simulations run at a time; never another number than SLOTS where the
                suite is run against a cluster that is there already.
            max_in_flight: how many simulations may be out of the service's own queue; to be
                ignored by a service that has no such bound.
        """
        ...


class Gate:
    """Holds simulations that `waits` until it's opened, and knows which have been started."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (folder / "started").mkdir(parents=True)

    @property
    def params(self) -> dict[str, Scalar]:
        """What a simulation is told of the gate."""
        return {"folder": str(self._folder)}

    def open(self) -> None:
        """Let all through, now and later."""
        (self._folder / "gate").touch()

    def started(self) -> Counter[int]:
        """Return how often the simulation with each seed has been started."""
        marks = (path.name for path in (self._folder / "started").iterdir())
        return Counter(int(mark.partition("-")[0]) for mark in marks)

    def await_started(self, count: int) -> None:
        """Wait until so many simulations have been started."""
        _await(lambda: self.started().total() >= count, f"{count} simulations to start")

    def await_settled(self) -> Counter[int]:
        """Wait until no more simulations are being started; return which have been."""
        seen, since = self.started(), time.monotonic()
        while time.monotonic() - since < _SETTLED_SECONDS:
            time.sleep(_LOOK_SECONDS)
            now = self.started()
            if now != seen:
                seen, since = now, time.monotonic()
        return seen


class ServiceSuite:
    """How a service is made is said by two fixtures of the subclass: `make_service`, `bundle_ref`.

    Attributes:
        isolates: whether each simulation runs in another process than the service. One that runs
            them in its own can't survive a crash, tell apart what is written straight to a
            descriptor, or run two bundles: the suite skips those tests of it.
        n_queued: how many simulations wait at once in the test of back-pressure.
    """

    isolates: ClassVar[bool] = True
    n_queued: ClassVar[int] = 5_000

    @pytest.fixture
    def gate(self, tmp_path: Path) -> Iterator[Gate]:
        """A gate that is open at the latest when the test has ended."""
        gate = Gate(tmp_path / "gate")
        try:
            yield gate
        finally:
            gate.open()

    @pytest.fixture
    def open_service(self, make_service: ServiceFactory, gate: Gate) -> Iterator[ServiceFactory]:
        """Make services that are closed when the test has ended, after the gate was opened."""
        with ExitStack() as stack:

            def make(**options: Any) -> SimulationService:
                service = make_service(**options)
                stack.callback(service.close)
                return service

            yield make
            # Before they are closed: a simulation that can't be ended has to end by itself.
            gate.open()

    @pytest.fixture
    def service(self, open_service: ServiceFactory) -> SimulationService:
        """A service as it comes."""
        return open_service()

    @pytest.fixture
    def model(self, tmp_path: Path) -> Mapping[str, Callable[..., Any]]:
        """The bundle's functions, to be called here."""
        write_bundle(tmp_path / "direct")
        return runpy.run_path(str(tmp_path / "direct" / "model.py"))

    def need_isolation(self) -> None:
        """Skip the test if the service has none."""
        if not self.isolates:
            pytest.skip("the service runs simulations in its own process (isolates = False)")


def submit_curves(service: SimulationService, ref: BundleRef, count: int) -> list[Future]:
    """Submit so many different simulations that take no time."""
    return [
        service.submit("model:simulate", {"beta": index / 7}, index, bundle_ref=ref)
        for index in range(count)
    ]


def outcomes_of(futures: list[Future]) -> list[SimReturn]:
    """Wait for each, but not for ever."""
    return [future.result(SECONDS) for future in futures]


def contents(outcome: SimReturn) -> dict[str, dict[str, list[Any]]]:
    """Return the tables of a simulation that succeeded, as columns."""
    assert outcome.status is SimStatus.COMPLETED, outcome.failure
    return {name: table(outcome, name).to_pydict() for name in outcome.tables}


def table(outcome: SimReturn, name: str) -> pa.Table:
    """Return one table of a simulation."""
    return pa.ipc.open_stream(outcome.tables[name]).read_all()


def reason(outcome: SimReturn) -> FailureReason:
    """Return why a simulation failed."""
    assert outcome.failure is not None, "the simulation didn't fail"
    assert outcome.failure.message, "a failure says what happened"
    return outcome.failure.reason


def _await(condition: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < until, f"waited in vain for {what}"
        time.sleep(_LOOK_SECONDS)
