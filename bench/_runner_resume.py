"""How long a run takes to go on that was interrupted after thousands of trials."""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace

from _figures import figure
from _runner_case import (
    Instantly,
    Noting,
    RunnerCase,
    Silent,
    Timed,
    driver_of,
    evaluator,
    make_plan,
)

from modelops.contracts import BundleRef, Future, Scalar, SimulationService
from modelops.runner.driver import RunInterruptedError
from modelops.runner.journal import Journal
from modelops.runner.records import TrialOutcome
from modelops.services.chunked import ChunkedService, ServiceOptions

TRIALS, BAR = 3_000, 3.0


class Interrupting(Silent):
    """Interrupts a run once so many of its trials have ended."""

    def __init__(self, count: int) -> None:
        self.interrupt: Callable[[], None] = lambda: None
        self._left = count

    def trial_ended(self, trial: int, outcome: TrialOutcome) -> None:
        """Count."""
        self._left -= 1
        if self._left == 0:
            self.interrupt()


class First(Noting):
    """A service that interrupts a run with its first simulation, and knows when that was."""

    def __init__(self, inner: SimulationService) -> None:
        super().__init__(inner, [])
        self.interrupt: Callable[[], None] = lambda: None
        self.at = 0.0

    def submit(
        self, fn_ref: str, params: Mapping[str, Scalar], seed: int, *, bundle_ref: BundleRef
    ) -> Future:
        """Submit."""
        self.at = self.at or time.perf_counter()
        self.interrupt()
        return super().submit(fn_ref, params, seed, bundle_ref=bundle_ref)


def measure_resume(case: RunnerCase) -> list[bool]:
    """From the start of a runner to its first simulation, beside what asking again would cost."""
    trials = case.count(TRIALS)
    plan = replace(make_plan(trials + 100, replicates=1), options={"sampler": "tpe"})
    url = f"sqlite:///{case.folder / 'resume'}.db"
    algorithm, observer = Timed.of(plan), Interrupting(trials)
    with ChunkedService(Instantly(), ServiceOptions()) as service, evaluator() as found:
        with Journal.open(url) as journal:
            driver = driver_of(
                plan,
                journal,
                algorithm=algorithm,
                service=service,
                evaluator=found,
                observer=observer,
            )
            observer.interrupt = driver.interrupt
            with suppress(RunInterruptedError):
                driver.run()
        first = First(service)
        start = time.perf_counter()
        with Journal.open(url) as journal:
            driver = driver_of(
                plan, journal, algorithm=Timed.of(plan), service=first, evaluator=found
            )
            first.interrupt = driver.interrupt
            with suppress(RunInterruptedError):
                driver.run()
    return [
        figure(
            f"a run goes on after {trials} trials of TPE",
            first.at - start,
            "s",
            bar=BAR,
        ),
        figure("asking for them all again", algorithm.seconds, "s"),
    ]
