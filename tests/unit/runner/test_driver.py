import concurrent.futures
import datetime
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence

import pytest

from modelops.contracts import (
    BundleRef,
    Future,
    RunContext,
    RunPlan,
    Scalar,
    SimReturn,
    SimStatus,
    UniqueParameterSet,
)
from modelops.core.errors import AlgorithmError, JournalError, ServiceError
from modelops.runner.driver import RunDriver, RunInterruptedError
from modelops.runner.instructions import Stop, TrialEvaluated
from modelops.runner.journal import Journal
from modelops.runner.records import TrialOutcome
from unit.runner.simulated_run import ChainAlgorithm, evaluate, make_plan, simulate

NOW = datetime.datetime(2026, 3, 1, tzinfo=datetime.UTC)


class ThreadedService:
    """Simulations on threads, so that they end in whatever order they do."""

    def __init__(self, workers: int = 3, share_failing: float = 0.0) -> None:
        self.submitted: list[tuple[float, int]] = []
        self.futures: list[concurrent.futures.Future[SimReturn]] = []
        self.calls: list[str] = []
        self._share_failing = share_failing
        self._pool = concurrent.futures.ThreadPoolExecutor(workers)

    def submit(
        self, fn_ref: str, params: Mapping[str, Scalar], seed: int, *, bundle_ref: BundleRef
    ) -> Future:
        assert fn_ref == "model:simulate"
        self.submitted.append((float(params["x"]), seed))
        future = self._pool.submit(self.simulate, dict(params), seed)
        self.futures.append(future)
        return future

    def simulate(self, params: dict[str, Scalar], seed: int) -> SimReturn:
        return simulate(params, seed, self._share_failing)

    def gather(self, futures: Sequence[Future]) -> list[SimReturn]:
        return [future.result() for future in futures]

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)

    def on_start(self, ctx: RunContext) -> None:
        self.calls.append(f"start {ctx.run_id}")

    def on_finish(self, ctx: RunContext) -> None:
        self.calls.append(f"finish {ctx.run_id}")


class BlockedService(ThreadedService):
    """Simulations that don't end before `release` is set; one at a time."""

    def __init__(self, expected: int) -> None:
        super().__init__(workers=1)
        self.all_submitted = threading.Event()
        self.release = threading.Event()
        self._expected = expected

    def submit(
        self, fn_ref: str, params: Mapping[str, Scalar], seed: int, *, bundle_ref: BundleRef
    ) -> Future:
        future = super().submit(fn_ref, params, seed, bundle_ref=bundle_ref)
        if len(self.futures) == self._expected:
            self.all_submitted.set()
        return future

    def simulate(self, params: dict[str, Scalar], seed: int) -> SimReturn:
        self.release.wait(30)
        return super().simulate(params, seed)


class Evaluator:
    def evaluate(self, replicates: Sequence[Mapping[str, bytes]]) -> TrialEvaluated:
        return evaluate(0, [dict(tables) for tables in replicates])


class Observer:
    def __init__(self) -> None:
        self.seen: list[object] = []

    def resumed(self, asked: int, ended: int) -> None:
        self.seen.append(("resumed", asked, ended))

    def trial_ended(self, trial: int, outcome: TrialOutcome) -> None:
        self.seen.append(trial)


@pytest.fixture
def journal() -> Iterator[Journal]:
    with Journal.open("sqlite://") as journal:
        yield journal


@pytest.fixture
def service() -> Iterator[ThreadedService]:
    service = ThreadedService()
    yield service
    service.close()


MakeDriver = Callable[..., RunDriver]


@pytest.fixture
def make(journal: Journal, service: ThreadedService) -> MakeDriver:
    def make(plan: RunPlan, **changes: object) -> RunDriver:
        journal.begin("run", plan, NOW)
        parts = {
            "algorithm": ChainAlgorithm(plan.n_trials),
            "service": service,
            "evaluator": Evaluator(),
            "journal": journal,
            "clock": lambda: NOW,
            "observer": Observer(),
            **changes,
        }
        context = RunContext("run", {"DATABASE_URL": "sqlite://"})
        return RunDriver(plan, context, "model:simulate", **parts)

    return make


def sequence_of(plan: RunPlan, workers: int, share_failing: float) -> list[tuple[object, ...]]:
    algorithm = ChainAlgorithm(plan.n_trials)
    service = ThreadedService(workers, share_failing)
    with Journal.open("sqlite://") as journal:
        journal.begin("run", plan, NOW)
        RunDriver(
            plan,
            RunContext("run", {}),
            "model:simulate",
            algorithm=algorithm,
            service=service,
            evaluator=Evaluator(),
            journal=journal,
            clock=lambda: NOW,
            observer=Observer(),
        ).run()
        service.close()
        records = [
            (r.trial.parameters.param_id, r.trial.seeds, r.outcome) for r in journal.trials("run")
        ]
    return [*algorithm.calls, *records]


@pytest.mark.parametrize("share_failing", [0.0, 0.2])
def test_the_number_of_workers_changes_nothing(share_failing: float) -> None:
    plan = make_plan(n_trials=20, n_parallel=5, replicates=2)
    one, two, four = (sequence_of(plan, workers, share_failing) for workers in (1, 2, 4))
    assert one == two == four


def test_a_run_is_recorded_and_ends(make: MakeDriver, journal: Journal) -> None:
    plan = make_plan(n_trials=6)
    observer = Observer()
    assert make(plan, observer=observer).run() == Stop(failed=False)
    records = list(journal.trials("run"))
    assert [record.trial.number for record in records] == list(range(6))
    assert all(record.outcome is not None for record in records)
    assert sorted(observer.seen) == list(range(6))


def test_what_is_recorded_is_not_simulated_again(
    make: MakeDriver, service: ThreadedService
) -> None:
    plan = make_plan(n_trials=6)
    first = ChainAlgorithm(6)
    make(plan, algorithm=first).run()
    submitted = list(service.submitted)
    second, observer = ChainAlgorithm(6), Observer()
    make(plan, algorithm=second, observer=observer).run()
    assert service.submitted == submitted
    assert second.calls == first.calls
    assert observer.seen == [("resumed", 6, 6)]


def test_an_interrupted_run_goes_on(
    make: MakeDriver, journal: Journal, service: ThreadedService
) -> None:
    plan = make_plan(n_trials=9, n_parallel=3)
    reference = sequence_of(plan, 1, 0.0)

    class StopsHalfWay(Observer):
        def trial_ended(self, trial: int, outcome: TrialOutcome) -> None:
            if trial == 4:
                driver.interrupt()

    driver = make(plan, observer=StopsHalfWay())
    with pytest.raises(RunInterruptedError):
        driver.run()
    done = [record for record in journal.trials("run") if record.outcome is not None]
    assert 0 < len(done) < 9
    algorithm = ChainAlgorithm(9)
    make(plan, algorithm=algorithm).run()
    assert algorithm.calls == reference[: len(algorithm.calls)]
    assert service.calls == ["start run", "finish run"] * 2


@pytest.fixture
def blocked() -> Iterator[BlockedService]:
    service = BlockedService(expected=4 * 2)
    yield service
    service.release.set()
    service.close()


def once_all_are_submitted(service: BlockedService, action: Callable[[], object]) -> None:
    def wait_and_act() -> None:
        service.all_submitted.wait(30)
        action()

    threading.Thread(target=wait_and_act, daemon=True).start()


def test_an_interrupt_ends_the_wait_and_cancels_what_is_under_way(
    make: MakeDriver, blocked: BlockedService
) -> None:
    driver = make(make_plan(n_parallel=4, replicates=2), service=blocked)
    once_all_are_submitted(blocked, driver.interrupt)
    with pytest.raises(RunInterruptedError):
        driver.run()
    assert sum(future.cancelled() for future in blocked.futures) >= 7


def test_a_simulation_that_the_service_gave_up_is_an_error(
    make: MakeDriver, blocked: BlockedService
) -> None:
    driver = make(make_plan(n_parallel=4, replicates=2), service=blocked)

    def give_the_last_up() -> None:
        blocked.futures[-1].cancel()

    once_all_are_submitted(blocked, give_the_last_up)
    with pytest.raises(ServiceError, match=r"(?s)of trial 3, replicate 1.*it goes on"):
        driver.run()
    assert blocked.calls == ["start run", "finish run"]


@pytest.mark.parametrize("method", ["submit", "on_start"])
def test_hooks_are_called_once_even_on_failure(
    make: MakeDriver, service: ThreadedService, method: str
) -> None:
    def fail(*_args: object, **_keywords: object) -> None:
        raise ServiceError("the scheduler is gone")

    setattr(service, method, fail)
    with pytest.raises(ServiceError, match="gone"):
        make(make_plan()).run()
    assert service.calls == (["start run", "finish run"] if method == "submit" else [])


def test_an_evaluator_that_raises_ends_the_run(make: MakeDriver) -> None:
    class Broken:
        def evaluate(self, replicates: Sequence[Mapping[str, bytes]]) -> TrialEvaluated:
            raise ServiceError("the child can't be started")

    with pytest.raises(ServiceError, match="child"):
        make(make_plan(), evaluator=Broken()).run()


def test_an_algorithm_that_gives_more_than_it_was_asked_for(make: MakeDriver) -> None:
    class Generous(ChainAlgorithm):
        def ask(self, n: int) -> list[UniqueParameterSet]:
            return super().ask(n) + super().ask(n)

    with pytest.raises(AlgorithmError, match="asked for one trial and gave 2"):
        make(make_plan(), algorithm=Generous(12)).run()


def test_another_algorithm_is_refused_on_replay(make: MakeDriver) -> None:
    plan = make_plan(n_trials=4)
    make(plan).run()
    with pytest.raises(JournalError, match="--run-id"):
        make(plan, algorithm=ChainAlgorithm(4, salt="other version")).run()


def test_every_record_is_written_before_the_algorithm_goes_on(
    make: MakeDriver, journal: Journal
) -> None:
    class Checking(ChainAlgorithm):
        def ask(self, n: int) -> list[UniqueParameterSet]:
            assert len(journal.history("run").asked) == self._asked
            return super().ask(n)

        def tell(self, results: Sequence) -> None:
            assert results[0].trial in journal.history("run").ended
            super().tell(results)

    assert make(make_plan(), algorithm=Checking(12)).run() == Stop(failed=False)


def test_results_are_those_that_the_service_returned(make: MakeDriver, journal: Journal) -> None:
    class Slow(ThreadedService):
        def simulate(self, params: dict[str, Scalar], seed: int) -> SimReturn:
            return SimReturn("t", SimStatus.COMPLETED, {"output": b"x"}, seconds=2.5)

    service = Slow()
    make(make_plan(n_trials=1, replicates=2), service=service).run()
    service.close()
    (record,) = journal.trials("run")
    assert record.outcome is not None
    assert record.outcome.seconds == 5.0
