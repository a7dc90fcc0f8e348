import concurrent.futures
import datetime
import itertools
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from modelops.contracts import (
    AlignedOutputs,
    BundleRef,
    Future,
    Outputs,
    RunContext,
    RunPlan,
    Scalar,
    SimReturn,
    SimStatus,
    TrialResult,
    UniqueParameterSet,
)
from modelops.core.errors import AlgorithmError, JournalError, ServiceError
from modelops.runner import wishes
from modelops.runner.driver import RunDriver, RunInterruptedError
from modelops.runner.evaluation import Replicates
from modelops.runner.instructions import Stop, TrialEvaluated
from modelops.runner.journal import Journal
from modelops.runner.progress import RunState, Wanted
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


class TogetherService(ThreadedService):
    """Takes many simulations at once."""

    def submit_many(
        self,
        fn_ref: str,
        calls: Sequence[tuple[Mapping[str, Scalar], int]],
        *,
        bundle_ref: BundleRef,
    ) -> list[Future]:
        self.calls.append(f"submit {len(calls)}")
        return [self.submit(fn_ref, params, seed, bundle_ref=bundle_ref) for params, seed in calls]


class Evaluator:
    def evaluate(self, trials: Sequence[Replicates]) -> list[TrialEvaluated]:
        return [evaluate(0, [dict(tables) for tables in replicates]) for replicates in trials]


class Observer:
    def __init__(self) -> None:
        self.seen: list[object] = []

    def resumed(self, asked: int, ended: int, restored: int) -> None:
        self.seen.append(("resumed", asked, ended, restored))

    def trial_ended(self, trial: int, outcome: TrialOutcome) -> None:
        self.seen.append(trial)

    def turned(self, state: RunState) -> None:
        self.seen.append(state)

    def wrote(self, seconds: float) -> None:
        assert seconds >= 0


@pytest.fixture(autouse=True)
def _wishes_are_looked_at_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wishes, "LOOK_SECONDS", 0.02)


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


def test_a_service_that_takes_many_at_once_gets_a_trial_whole(
    make: MakeDriver, journal: Journal
) -> None:
    plan = make_plan(n_trials=4, n_parallel=4)
    service = TogetherService()
    assert make(plan, service=service).run() == Stop(failed=False)
    service.close()

    numbers = [int(call.split()[1]) for call in service.calls if call.startswith("submit")]
    assert sum(numbers) == 4 * plan.replicates
    assert all(number % plan.replicates == 0 for number in numbers)
    seeds = {trial.seeds for trial in journal.history("run").asked.values()}
    assert sorted(seed for _, seed in service.submitted) == sorted(itertools.chain(*seeds))


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
    assert observer.seen == [("resumed", 6, 6, 0)]


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


def test_a_run_ends_when_its_time_is_up(make: MakeDriver, blocked: BlockedService) -> None:
    driver = make(make_plan(n_parallel=4, replicates=2, run_timeout=2), service=blocked)
    stop = driver.run()
    # There is no result.
    assert stop.failed
    assert stop.message == "The time is up: run_timeout is 2 s. 0 of 12 trials had ended."
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
        def evaluate(self, trials: Sequence[Replicates]) -> list[TrialEvaluated]:
            raise ServiceError("the child can't be started")

    with pytest.raises(ServiceError, match="child"):
        make(make_plan(), evaluator=Broken()).run()


def test_a_service_that_aligns_outputs_is_told_of_the_targets(
    make: MakeDriver, journal: Journal
) -> None:
    plan = make_plan(n_trials=6)
    make(plan, targets={"x": "targets:x"}).run()
    expected = [record.outcome for record in journal.trials("run")]

    class Aligning(ThreadedService):
        """Gives what the evaluator makes of tables instead of these, for one of three."""

        def align_outputs(self, targets: Mapping[str, str]) -> None:
            self.calls.append(f"align with {dict(targets)}")

        def simulate(self, params: dict[str, Scalar], seed: int) -> SimReturn:
            known = super().simulate(params, seed)
            if seed % 3:
                return known
            aligned = AlignedOutputs({"x": known.tables["output"]})
            return SimReturn(known.task_id, known.status, seconds=known.seconds, aligned=aligned)

    class TakesBoth:
        def evaluate(self, trials: Sequence[Replicates]) -> list[TrialEvaluated]:
            return [evaluate(0, [self._tables(each) for each in trial]) for trial in trials]

        def _tables(self, outputs: Outputs) -> dict[str, bytes]:
            if isinstance(outputs, AlignedOutputs):
                return {"output": outputs.points["x"]}
            return dict(outputs)

    service = Aligning()
    with Journal.open("sqlite://") as other:
        other.begin("run", plan, NOW)
        parts = {"service": service, "evaluator": TakesBoth(), "journal": other}
        make(plan, targets={"x": "targets:x"}, **parts).run()
        found = [record.outcome for record in other.trials("run")]
    service.close()
    assert found == expected
    told = ["align with {'x': 'targets:x'}", "align with {}"]
    assert service.calls == ["start run", *told, "finish run"]


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


def test_all_that_a_trial_follows_from_is_written_before_it_is_simulated(
    make: MakeDriver, journal: Journal
) -> None:
    algorithm = ChainAlgorithm(12)

    class Checking(ThreadedService):
        def submit(
            self, fn_ref: str, params: Mapping[str, Scalar], seed: int, *, bundle_ref: BundleRef
        ) -> Future:
            history = journal.history("run")
            (number,) = (
                number
                for number, trial in history.asked.items()
                if trial.parameters.params == params
            )
            before = algorithm.calls[
                : [call[:2] for call in algorithm.calls].index(("ask", number))
            ]
            assert {call[1] for call in before if call[0] == "tell"} <= history.ended.keys()
            return super().submit(fn_ref, params, seed, bundle_ref=bundle_ref)

    service = Checking()
    assert make(make_plan(), algorithm=algorithm, service=service).run() == Stop(failed=False)
    service.close()


def test_a_simulation_does_not_wait_for_many_slow_asks(make: MakeDriver) -> None:
    class Slow(ChainAlgorithm):
        def ask(self, n: int) -> list[UniqueParameterSet]:
            if self._asked == 3:
                assert service.begun.wait(30)
            elif self._asked > 0:
                time.sleep(0.02)
            return super().ask(n)

    class Begun(ThreadedService):
        begun = threading.Event()

        def simulate(self, params: dict[str, Scalar], seed: int) -> SimReturn:
            self.begun.set()
            return super().simulate(params, seed)

    service = Begun()
    assert make(make_plan(), algorithm=Slow(12), service=service).run() == Stop(failed=False)
    service.close()


def test_what_ended_is_written_when_the_run_is_interrupted(
    make: MakeDriver, journal: Journal
) -> None:
    class InterruptsItself(ChainAlgorithm):
        def tell(self, results: Sequence[TrialResult]) -> None:
            super().tell(results)
            driver.interrupt()

    driver = make(make_plan(), algorithm=InterruptsItself(12))
    with pytest.raises(RunInterruptedError):
        driver.run()

    assert journal.history("run").ended


def test_trials_that_wait_are_evaluated_together(make: MakeDriver) -> None:
    sizes = []

    class Counting(Evaluator):
        def evaluate(self, trials: Sequence[Replicates]) -> list[TrialEvaluated]:
            sizes.append(len(trials))
            if len(sizes) == 1:
                # The others come while the first is evaluated.
                time.sleep(0.2)
            return super().evaluate(trials)

    plan = make_plan(n_trials=12, n_parallel=12)
    assert make(plan, evaluator=Counting()).run() == Stop(failed=False)
    assert sum(sizes) == 12
    assert len(sizes) < 12


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


def test_a_pause_lets_nothing_start_and_changes_nothing(make: MakeDriver, journal: Journal) -> None:
    plan = make_plan(n_trials=20, n_parallel=5, replicates=2)

    class Slow(ThreadedService):
        def simulate(self, params: dict[str, Scalar], seed: int) -> SimReturn:
            time.sleep(0.02)
            return super().simulate(params, seed)

    service = Slow()

    class PausesNowAndThen(Observer):
        pauses = wished = 0

        def trial_ended(self, trial: int, outcome: TrialOutcome) -> None:
            # With the first trial that ends, and with the first after the pause.
            if self.pauses == self.wished < 2:
                self.wished += 1
                journal.want("run", Wanted.PAUSED, "me", NOW)

        def turned(self, state: RunState) -> None:
            if state is RunState.PAUSED:
                self.pauses += 1
                assert all(future.done() for future in service.futures)
                history = journal.history("run")
                # One may have been asked for when the pause was seen; it isn't submitted.
                assert len(history.asked.keys() - history.ended.keys()) <= 1
                assert journal.runs()[0].state is RunState.PAUSED
                journal.want("run", Wanted.RUNNING, "me", NOW)

    algorithm, observer = ChainAlgorithm(20), PausesNowAndThen()
    driver = make(plan, algorithm=algorithm, observer=observer, service=service)
    assert driver.run() == Stop(failed=False)
    service.close()
    assert observer.pauses == 2
    assert algorithm.calls == sequence_of(plan, 1, 0.0)[: len(algorithm.calls)]
    assert len(service.submitted) == 40


def test_a_run_that_is_wanted_paused_waits_before_its_first_trial(
    make: MakeDriver, journal: Journal, service: ThreadedService
) -> None:
    class Resumes(Observer):
        def turned(self, state: RunState) -> None:
            super().turned(state)
            if state is RunState.PAUSED:
                assert service.submitted == []
                journal.want("run", Wanted.RUNNING, "me", NOW)

    plan = make_plan(n_trials=3)
    observer = Resumes()
    journal.begin("run", plan, NOW)
    journal.want("run", Wanted.PAUSED, "me", NOW)
    assert make(plan, observer=observer).run() == Stop(failed=False)
    assert observer.seen[:3] == [RunState.PAUSING, RunState.PAUSED, RunState.RUNNING]


def test_a_pause_does_not_count_as_the_runs_time(
    make: MakeDriver, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, skipped = time.monotonic(), [0.0]
    clock = SimpleNamespace(monotonic=lambda: time.monotonic() - begun + skipped[0])
    monkeypatch.setattr("modelops.runner.driver.time", clock)

    class ResumesAfterAWeekend(Observer):
        def turned(self, state: RunState) -> None:
            if state is RunState.PAUSED:
                skipped[0] = 200_000.0
                journal.want("run", Wanted.RUNNING, "me", NOW)

    plan = make_plan(n_trials=3, run_timeout=100_000.0)
    journal.begin("run", plan, NOW)
    journal.want("run", Wanted.PAUSED, "me", NOW)
    assert make(plan, observer=ResumesAfterAWeekend()).run() == Stop(failed=False)


def test_a_cancel_is_seen_while_all_wait_for_simulations(
    tmp_path: Path, make: MakeDriver, blocked: BlockedService
) -> None:
    url = f"sqlite:///{tmp_path}/runs.db"
    plan = make_plan(n_parallel=4, replicates=2)

    def cancel() -> None:
        with Journal.open(url) as other:
            other.want("run", Wanted.CANCELLED, "somebody else", NOW)

    with Journal.open(url) as journal:
        journal.begin("run", plan, NOW)
        driver = make(plan, service=blocked, journal=journal)
        once_all_are_submitted(blocked, cancel)
        assert driver.run() == Stop(failed=False, cancelled=True)
    assert sum(future.cancelled() for future in blocked.futures) >= 7
    assert blocked.calls == ["start run", "finish run"]
