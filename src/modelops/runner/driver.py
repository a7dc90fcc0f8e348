"""The I/O beside the run loop: it carries out instructions and waits for what comes of them."""

import concurrent.futures
import datetime
import functools
import queue
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Protocol

from modelops.contracts import (
    AdaptiveAlgorithm,
    Future,
    HasLifecycle,
    RunContext,
    RunPlan,
    SimulationService,
)
from modelops.core.errors import AlgorithmError, ServiceError
from modelops.runner.evaluation import Evaluated, Evaluator
from modelops.runner.instructions import (
    Ask,
    Asked,
    Evaluate,
    Event,
    Instruction,
    RecordAsk,
    RecordResult,
    SimulationFinished,
    Stop,
    Submit,
    Tell,
    TrialEvaluated,
)
from modelops.runner.journal import Journal
from modelops.runner.loop import RunLoop
from modelops.runner.records import TrialOutcome


class RunObserver(Protocol):
    """Is told what a run does, to log it."""

    def resumed(self, asked: int, ended: int) -> None:
        """Be told, before the first instruction, how many trials the journal holds."""

    def trial_ended(self, trial: int, outcome: TrialOutcome) -> None:
        """Be told that a trial ended, after that was recorded."""


class RunInterruptedError(Exception):
    """The run was told to end; the journal holds all that is needed to go on."""


class RunDriver:
    """Carries one run out, from its journal's state to its end.

    Guarantees: the journal has a record before the algorithm is called again; the lifecycle hooks
    of service, algorithm and evaluator are called once each, also if the run fails; when `run`
    returns or raises, no simulation that it submitted is under way.
    """

    def __init__(
        self,
        plan: RunPlan,
        context: RunContext,
        fn_ref: str,
        *,
        algorithm: AdaptiveAlgorithm,
        service: SimulationService,
        evaluator: Evaluator,
        journal: Journal,
        clock: Callable[[], datetime.datetime],
        observer: RunObserver,
    ) -> None:
        self._plan = plan
        self._context = context
        self._fn_ref = fn_ref
        self._algorithm = algorithm
        self._service = service
        self._evaluator = evaluator
        self._journal = journal
        self._clock = clock
        self._observer = observer
        # Simple: a signal handler may put into it whatever the main thread is doing.
        self._inbox: queue.SimpleQueue[Callable[[], Event | None]] = queue.SimpleQueue()
        self._under_way: dict[tuple[int, int], Future] = {}
        self._interrupted = False

    def run(self) -> Stop:
        """Run until the loop stops.

        Raises:
            ModelOpsError: if a part fails; the run can be started again and goes on.
            RunInterruptedError: after `interrupt`.
        """
        with ExitStack() as cleanup:
            for part in (self._service, self._algorithm, self._evaluator):
                if isinstance(part, HasLifecycle):
                    part.on_start(self._context)
                    cleanup.callback(part.on_finish, self._context)
            cleanup.callback(self._cancel_all)
            evaluations = concurrent.futures.ThreadPoolExecutor(1, "evaluation")
            cleanup.callback(evaluations.shutdown, wait=False, cancel_futures=True)
            return self._follow(evaluations)

    def interrupt(self) -> None:
        """End the run at the next instruction; for signal handlers and other threads."""
        self._interrupted = True
        self._inbox.put(lambda: None)

    def _follow(self, evaluations: concurrent.futures.Executor) -> Stop:
        history = self._journal.history(self._context.run_id)
        if history.asked:
            self._observer.resumed(len(history.asked), len(history.ended))
        loop = RunLoop(self._plan, history)
        todo = deque(loop.start())
        while True:
            if self._interrupted:
                raise RunInterruptedError
            if todo:
                instruction = todo.popleft()
                if isinstance(instruction, Stop):
                    return instruction
                event = self._perform(instruction, evaluations)
            else:
                event = self._inbox.get()()
            if event is not None:
                todo.extend(loop.handle(event))

    def _perform(
        self, instruction: Instruction, evaluations: concurrent.futures.Executor
    ) -> Event | None:
        match instruction:
            case Ask():
                return self._ask()
            case RecordAsk(trial):
                self._journal.record_ask(self._context.run_id, trial)
            case Submit():
                self._submit(instruction)
            case Evaluate():
                self._evaluate(instruction, evaluations)
            case RecordResult(number, outcome):
                self._journal.record_result(self._context.run_id, number, outcome, self._clock())
                self._observer.trial_ended(number, outcome)
            case Tell(result):
                self._algorithm.tell([result])
            case Stop():
                raise AssertionError("Stop is handled where the run is followed")
        return None

    def _ask(self) -> Asked:
        answer = self._algorithm.ask(1)
        if len(answer) > 1:
            raise AlgorithmError(f"The algorithm was asked for one trial and gave {len(answer)}.")
        return Asked(answer[0] if answer else None, self._algorithm.finished())

    def _submit(self, instruction: Submit) -> None:
        future = self._service.submit(
            self._fn_ref,
            instruction.parameters.params,
            instruction.seed,
            bundle_ref=self._plan.bundle_ref,
        )
        key = (instruction.trial, instruction.replicate)
        self._under_way[key] = future
        # The outcome is unpacked in this thread: a callback has no one to raise to.
        future.add_done_callback(
            lambda done: self._inbox.put(functools.partial(self._simulated, key, done))
        )

    def _evaluate(self, instruction: Evaluate, evaluations: concurrent.futures.Executor) -> None:
        evaluation = evaluations.submit(self._evaluator.evaluate, instruction.replicates)
        evaluation.add_done_callback(
            lambda done: self._inbox.put(functools.partial(_evaluated, instruction.trial, done))
        )

    def _simulated(self, key: tuple[int, int], future: Future) -> Event:
        del self._under_way[key]
        trial, replicate = key
        try:
            result = future.result()
        except concurrent.futures.CancelledError as error:
            raise ServiceError(
                f"The service gave up the simulation of trial {trial}, replicate {replicate}.",
                hint="Check the scheduler and its workers, then start the run again: it goes on.",
            ) from error
        return SimulationFinished(trial, replicate, result)

    def _cancel_all(self) -> None:
        for future in self._under_way.values():
            future.cancel()


def _evaluated(trial: int, done: "concurrent.futures.Future[Evaluated]") -> Event:
    outcome = done.result()
    parts: Mapping[str, float] = dict(outcome.parts)
    return TrialEvaluated(trial, outcome.loss, parts, outcome.failure)
