"""The run as a pure state machine: events in, instructions out. No I/O, no clock, no threads.

The sequence that the algorithm sees doesn't depend on when simulations end: ask 0 … n-1, then for
i >= n: tell(i-n), ask(i), where n is the plan's `n_parallel`; at the end the remaining tells, in
order. An empty ask is repeated after the next tell. The same loop replays a journal: what is in the
history is checked and told again, and neither simulated nor recorded a second time.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from modelops.contracts import (
    FailureReason,
    RunPlan,
    SimFailure,
    SimReturn,
    TrialResult,
    TrialStatus,
    UniqueParameterSet,
)
from modelops.core.errors import AlgorithmError, JournalError
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
from modelops.runner.records import History, Trial, TrialOutcome

_MAX_MESSAGE, _MAX_DETAILS = 2_000, 16_384
"""The most of a failure's message and of its details, in characters, that is kept."""


@dataclass
class _Running:
    """A trial under way and what has come back of it."""

    trial: Trial
    returns: dict[int, SimReturn] = field(default_factory=dict)
    evaluating: bool = False


class RunLoop:
    """Decides what happens next in one run.

    Guarantees: each ask and each result is to be recorded before the algorithm is called again;
    each trial is told once, in order of number; what the algorithm sees, and where the run stops,
    depends on the plan, the algorithm and the simulations' results alone.

    The instructions of one list are to be carried out in its order. `Ask` is always the last.
    """

    def __init__(self, plan: RunPlan, history: History | None = None) -> None:
        self._plan = plan
        self._history = history or History()
        self._allowed_failures = plan.limits.failures_allowed(plan.n_trials)
        self._asked: list[UniqueParameterSet] = []
        self._told = 0
        self._failures = 0
        self._running: dict[int, _Running] = {}
        self._ended: dict[int, TrialOutcome] = {}
        self._waiting_for_answer = False
        self._asked_in_vain = False
        self._asked_all = False
        self._stopped = False

    def start(self) -> list[Instruction]:
        """Return the first instructions."""
        return self._advance()

    def handle(self, event: Event) -> list[Instruction]:
        """Return what is to be done now that `event` happened; after `Stop` it's nothing.

        An event that repeats what is known already (a simulation reported twice) changes nothing.

        Raises:
            AlgorithmError: if the algorithm numbers its trials in another way.
            JournalError: if the algorithm asks for something else than the journal holds.
        """
        if self._stopped:
            return []
        match event:
            case Asked(parameters, finished):
                instructions = self._take_answer(parameters, finished=finished)
            case SimulationFinished(trial, replicate, result):
                instructions = self._take_simulation(trial, replicate, result)
            case TrialEvaluated():
                instructions = self._take_evaluation(event)
        return [*instructions, *self._advance()]

    def _advance(self) -> list[Instruction]:
        instructions: list[Instruction] = []
        while not self._waiting_for_answer and not self._stopped:
            window = len(self._asked) - self._told
            if window < self._plan.n_parallel and not (self._asked_all or self._asked_in_vain):
                self._waiting_for_answer = True
                instructions.append(Ask())
            elif window == 0:
                instructions.append(self._end())
            elif self._told in self._ended:
                instructions.extend(self._tell_next())
            else:
                break
        return instructions

    def _take_answer(
        self, parameters: UniqueParameterSet | None, *, finished: bool
    ) -> list[Instruction]:
        self._waiting_for_answer = False
        self._asked_in_vain = parameters is None
        number = len(self._asked)
        if parameters is None:
            self._asked_all = finished
            return []
        if parameters.trial != number:
            raise AlgorithmError(
                f"The algorithm gave its trial {number} the number {parameters.trial}.",
                hint="Trials are numbered 0, 1, 2, … in the order in which ask returns them.",
            )
        trial = Trial.planned(self._plan, parameters)
        self._asked.append(parameters)
        self._asked_all = finished or len(self._asked) >= self._plan.n_trials
        recorded = self._history.asked.get(number)
        if recorded is not None:
            _refuse_other(recorded, trial)
        if number in self._history.ended:
            self._ended[number] = self._history.ended[number]
            return []
        self._running[number] = _Running(trial)
        submits: list[Instruction] = [
            Submit(number, replicate, parameters, seed)
            for replicate, seed in enumerate(trial.seeds)
        ]
        return submits if recorded is not None else [RecordAsk(trial), *submits]

    def _take_simulation(self, number: int, replicate: int, result: SimReturn) -> list[Instruction]:
        running = self._running.get(number)
        if running is None:
            return self._already_ended(number)
        running.returns.setdefault(replicate, result)
        if running.evaluating or len(running.returns) < len(running.trial.seeds):
            return []
        returns = [running.returns[index] for index in range(len(running.trial.seeds))]
        # All replicates are awaited, so that the reason doesn't depend on which came back first.
        failure = next((item.failure for item in returns if item.failure is not None), None)
        if failure is not None:
            return self._end_trial(number, _failed(failure, _seconds(returns)))
        running.evaluating = True
        return [Evaluate(number, tuple(item.tables for item in returns))]

    def _take_evaluation(self, event: TrialEvaluated) -> list[Instruction]:
        running = self._running.get(event.trial)
        if running is None:
            return self._already_ended(event.trial)
        seconds = _seconds(list(running.returns.values()))
        if event.failure is not None:
            return self._end_trial(event.trial, _failed(event.failure, seconds))
        if event.loss is None or not all(map(math.isfinite, (event.loss, *event.parts.values()))):
            problem = SimFailure(
                FailureReason.MODEL,
                f"the loss is {event.loss}, its parts {dict(event.parts)}; they must be finite",
            )
            return self._end_trial(event.trial, _failed(problem, seconds))
        outcome = TrialOutcome(
            TrialStatus.COMPLETED, loss=event.loss, parts=event.parts, seconds=seconds
        )
        return self._end_trial(event.trial, outcome)

    def _end_trial(self, number: int, outcome: TrialOutcome) -> list[Instruction]:
        del self._running[number]
        self._ended[number] = outcome
        return [RecordResult(number, outcome)]

    def _already_ended(self, number: int) -> list[Instruction]:
        if not 0 <= number < len(self._asked):
            raise ValueError(f"trial {number} was never asked")
        return []

    def _tell_next(self) -> list[Instruction]:
        number = self._told
        outcome = self._ended[number]
        self._told += 1
        self._asked_in_vain = False
        instructions: list[Instruction] = [Tell(_result(self._asked[number], outcome))]
        if outcome.status is not TrialStatus.COMPLETED:
            self._failures += 1
            # Counted in order of number: where the run stops doesn't depend on timing either.
            if self._failures > self._allowed_failures:
                instructions.append(self._stop(self._too_many_failures(number, outcome)))
        return instructions

    def _end(self) -> Stop:
        if len(self._asked) in self._history.asked:
            raise JournalError(
                f"The journal holds trial {len(self._asked)}, "
                "but the algorithm doesn't ask for it any more.",
                hint=_OTHER_VERSIONS,
            )
        if not self._asked_all:
            return self._stop(
                "The algorithm asks for nothing though it was told every trial, "
                "and it says that it hasn't finished."
            )
        if self._failures == len(self._asked):
            return self._stop("The run has no result: not one trial completed.")
        return self._stop("")

    def _stop(self, problem: str) -> Stop:
        self._stopped = True
        return Stop(failed=bool(problem), message=problem)

    def _too_many_failures(self, number: int, outcome: TrialOutcome) -> str:
        return (
            f"{self._failures} of the first {self._told} trials failed, and the limits allow "
            f"{self._allowed_failures} of {self._plan.n_trials} (max_failures). "
            f"The last, trial {number}, failed with {outcome.reason}: {outcome.message}"
        )


_OTHER_VERSIONS = (
    "Continue with the library versions that the run began with, "
    "or start a new run with another --run-id."
)


def _refuse_other(recorded: Trial, asked: Trial) -> None:
    if recorded == asked:
        return
    raise JournalError(
        f"The journal holds trial {asked.number} with parameters {_text(recorded)}, "
        f"but the algorithm now asks for {_text(asked)}.",
        hint=_OTHER_VERSIONS,
    )


def _text(trial: Trial) -> str:
    params: Mapping[str, object] = trial.parameters.params
    named = ", ".join(f"{name}={value!r}" for name, value in params.items())
    return f"{{{named}}} ({trial.parameters.param_id[:12]})"


def _failed(failure: SimFailure, seconds: float) -> TrialOutcome:
    timeout = failure.reason is FailureReason.TIMEOUT
    return TrialOutcome(
        TrialStatus.TIMEOUT if timeout else TrialStatus.FAILED,
        reason=failure.reason.value,
        message=failure.message[:_MAX_MESSAGE],
        details=failure.details[-_MAX_DETAILS:],
        seconds=seconds,
    )


def _result(parameters: UniqueParameterSet, outcome: TrialOutcome) -> TrialResult:
    completed = outcome.status is TrialStatus.COMPLETED
    return TrialResult(
        param_id=parameters.param_id,
        loss=outcome.loss if completed and outcome.loss is not None else math.nan,
        # No message and no times: an algorithm could come to depend on what differs between tries.
        diagnostics={"parts": dict(outcome.parts)} if completed else {"reason": outcome.reason},
        status=outcome.status,
        trial=parameters.trial,
    )


def _seconds(returns: list[SimReturn]) -> float:
    return math.fsum(item.seconds for item in returns)
