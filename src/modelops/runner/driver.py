"""The I/O beside the run loop: it carries out instructions and waits for what comes of them."""

import concurrent.futures
import datetime
import functools
import math
import queue
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from typing import Protocol

from modelops.contracts import (
    AdaptiveAlgorithm,
    AlignsOutputs,
    Future,
    HasLifecycle,
    RunContext,
    RunPlan,
    SimulationService,
    SubmitsMany,
)
from modelops.core.errors import AlgorithmError, ServiceError
from modelops.runner.evaluation import Evaluated, Evaluations, Evaluator
from modelops.runner.instructions import (
    Ask,
    Asked,
    Evaluate,
    Event,
    Instruction,
    RecordAsk,
    RecordPause,
    RecordResult,
    RecordResume,
    SimulationFinished,
    Stop,
    Submit,
    Tell,
    TimeIsUp,
    TrialEvaluated,
)
from modelops.runner.journal import Journal
from modelops.runner.loop import RunLoop
from modelops.runner.outbox import Outbox
from modelops.runner.progress import RunState, seen_state
from modelops.runner.records import TrialOutcome
from modelops.runner.snapshots import Snapshots
from modelops.runner.wishes import Wishes, event_of


class RunObserver(Protocol):
    """Is told what a run does, to log it."""

    def resumed(self, asked: int, ended: int, restored: int) -> None:
        """Be told, before the first instruction, how many trials the journal holds.

        Args:
            asked: of how many trials it has the parameters.
            ended: of how many the outcome.
            restored: how many the algorithm needn't be asked for again.
        """

    def trial_ended(self, trial: int, outcome: TrialOutcome) -> None:
        """Be told that a trial ended, after that was recorded."""

    def turned(self, state: RunState) -> None:
        """Be told that the run pauses, is paused, goes on or is being cancelled."""

    def wrote(self, seconds: float) -> None:
        """Be told how long it took to write records to the journal."""


class RunInterruptedError(Exception):
    """The run was told to end; the journal holds all that is needed to go on."""


class RunDriver:
    """Carries one run out, from its journal's state to its end.

    Guarantees: the journal has a record before a simulation that follows from it is submitted; the
    lifecycle hooks of service, algorithm and evaluator are called once each, also if the run fails;
    when `run` returns or raises, no simulation that it submitted is under way; what the journal
    says is wanted of the run is heeded within about a second, unless the algorithm itself takes
    longer.
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
        targets: Mapping[str, str] | None = None,
    ) -> None:
        """Make a driver.

        Args:
            plan: the run's.
            context: what the run's parts are told of it.
            fn_ref: the model, `module:function` in the plan's bundle.
            algorithm: proposes parameters.
            service: runs the simulations.
            evaluator: makes losses of what they give.
            journal: keeps what is known of the run.
            clock: tells the time.
            observer: is told what happens.
            targets: target's id → `module:function` in the plan's bundle; large outputs may be
                aligned with these where they are made. Without them no outputs are.
        """
        self._targets = dict(targets or {})
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
        self._ends_at = math.inf
        self._wishes = Wishes(lambda: journal.wanted(context.run_id))
        self._snapshots = Snapshots(
            algorithm, save=lambda snapshot: journal.save_snapshot(context.run_id, snapshot)
        )
        self._outbox = Outbox(
            journal,
            context.run_id,
            submit=self._submit,
            ended=observer.trial_ended,
            noted=self._wishes.note,
            wrote=observer.wrote,
            clock=clock,
        )

    @property
    def in_flight(self) -> int:
        """How many simulations it waits for; may be asked from any thread."""
        return len(self._under_way)

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
            if self._targets and isinstance(self._service, AlignsOutputs):
                self._service.align_outputs(self._targets)
                cleanup.callback(self._service.align_outputs, {})
            cleanup.callback(self._cancel_all)
            evaluations = cleanup.enter_context(Evaluations(self._evaluator, self._evaluated))
            return self._follow(evaluations)

    def interrupt(self) -> None:
        """End the run at the next instruction; for signal handlers and other threads."""
        self._interrupted = True
        self._inbox.put(lambda: None)

    def _follow(self, evaluations: Evaluations) -> Stop:
        run_id = self._context.run_id
        history = self._journal.history(run_id)
        begin_at = self._snapshots.restore(self._journal.snapshot(run_id), history)
        if history.asked:
            self._observer.resumed(len(history.asked), len(history.ended), begin_at.asked)
        loop = RunLoop(self._plan, history, begin_at, asked_all=self._algorithm.finished())
        self._begin_time()
        # A run that is to be paused from the start doesn't ask for its first trial.
        todo = deque(self._heed(loop))
        todo.extend(loop.start())
        while True:
            if self._interrupted:
                self._outbox.write()
                raise RunInterruptedError
            todo.extend(self._heed(loop))
            if time.monotonic() >= self._ends_at:
                self._ends_at = math.inf
                todo.extend(loop.handle(TimeIsUp()))
            if todo:
                instruction = todo.popleft()
                if isinstance(instruction, Stop):
                    self._outbox.write()
                    return instruction
                event = self._perform(instruction, evaluations)
                if self._outbox.is_due:
                    self._outbox.send()
            else:
                event = self._next_event()
            if event is not None:
                todo.extend(loop.handle(event))

    def _heed(self, loop: RunLoop) -> list[Instruction]:
        wanted = self._wishes.change()
        if wanted is None:
            return []
        self._observer.turned(seen_state(RunState.RUNNING, wanted))
        return loop.handle(event_of(wanted))

    def _next_event(self) -> Event | None:
        """Return what has happened; if nothing has, send what waits and wait for it.

        None if it's time to look at what is wanted.
        """
        try:
            return self._inbox.get_nowait()()
        except queue.Empty:
            self._outbox.send()
        if self._snapshots.is_due:
            # All that the algorithm has seen is written by now.
            self._snapshots.take()
        try:
            left = max(0.0, self._ends_at - time.monotonic())
            return self._inbox.get(timeout=min(left, self._wishes.seconds_left()))()
        except queue.Empty:
            return None

    def _perform(self, instruction: Instruction, evaluations: Evaluations) -> Event | None:
        match instruction:
            case Ask():
                return self._ask()
            case RecordAsk() | RecordResult() | Submit():
                self._outbox.add(instruction)
            case Evaluate(trial, replicates):
                evaluations.submit(trial, replicates)
            case Tell(result):
                with self._snapshots.watching() as seen:
                    self._algorithm.tell([result])
                    seen.tell(result.trial, result.status, result.loss)
            case RecordPause():
                self._outbox.write()
                self._journal.pause(self._context.run_id)
                # A pause doesn't count; the time begins anew with `RecordResume`.
                self._ends_at = math.inf
                self._observer.turned(RunState.PAUSED)
            case RecordResume():
                self._journal.resume(self._context.run_id, self._clock())
                self._begin_time()
            case Stop():
                raise AssertionError("Stop is handled where the run is followed")
        return None

    def _begin_time(self) -> None:
        self._ends_at = time.monotonic() + (self._plan.limits.run_timeout or math.inf)

    def _ask(self) -> Asked:
        with self._snapshots.watching() as seen:
            answer = self._algorithm.ask(1)
            for parameters in answer:
                seen.ask(parameters.param_id)
        if len(answer) > 1:
            raise AlgorithmError(f"The algorithm was asked for one trial and gave {len(answer)}.")
        return Asked(answer[0] if answer else None, self._algorithm.finished())

    def _submit(self, instructions: Sequence[Submit]) -> None:
        for instruction, future in zip(instructions, self._futures(instructions), strict=True):
            key = (instruction.trial, instruction.replicate)
            self._under_way[key] = future
            future.add_done_callback(functools.partial(self._note_simulated, key))

    def _futures(self, instructions: Sequence[Submit]) -> Iterable[Future]:
        calls = [(each.parameters.params, each.seed) for each in instructions]
        fn_ref, bundle_ref = self._fn_ref, self._plan.bundle_ref
        if isinstance(self._service, SubmitsMany):
            return self._service.submit_many(fn_ref, calls, bundle_ref=bundle_ref)
        # One by one, so that those before one that isn't taken can be cancelled.
        submit = self._service.submit
        return (submit(fn_ref, params, seed, bundle_ref=bundle_ref) for params, seed in calls)

    def _note_simulated(self, key: tuple[int, int], future: Future) -> None:
        # The outcome is unpacked in the main thread: a callback has no one to raise to.
        self._inbox.put(functools.partial(self._simulated, key, future))

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

    def _evaluated(self, trial: int, outcome: Evaluated | Exception) -> None:
        self._inbox.put(functools.partial(_evaluation, trial, outcome))

    def _cancel_all(self) -> None:
        for future in self._under_way.values():
            future.cancel()


def _evaluation(trial: int, outcome: Evaluated | Exception) -> Event:
    if isinstance(outcome, Exception):
        raise outcome
    return TrialEvaluated(trial, outcome.loss, dict(outcome.parts), outcome.failure)
