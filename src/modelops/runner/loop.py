"""The run as a pure state machine: events in, instructions out. No I/O, no clock, no threads.

With the order `ask` the sequence that the algorithm sees doesn't depend on when simulations end:
ask 0 … n-1, then for i >= n: tell(i-n), ask(i), where n is the plan's `n_parallel`; at the end the
remaining tells, in order. With the order `completion` a trial is told as soon as it has ended, and
then as many are asked for as there is room. An empty ask is repeated after the next tell.

The same loop replays a journal: what is in the history is checked and told again, and neither
simulated nor recorded a second time. A pause holds back the next ask and no other call, so it
doesn't change the sequence either.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from modelops.contracts import (
    FailureReason,
    RunPlan,
    SimFailure,
    SimReturn,
    TrialOrder,
    TrialResult,
    TrialStatus,
    UniqueParameterSet,
)
from modelops.core.errors import AlgorithmError, JournalError
from modelops.runner.instructions import (
    Ask,
    Asked,
    CancelWanted,
    Evaluate,
    Event,
    Instruction,
    PauseWanted,
    RecordAsk,
    RecordPause,
    RecordResult,
    RecordResume,
    ResumeWanted,
    SimulationFinished,
    Stop,
    Submit,
    Tell,
    TimeIsUp,
    TrialEvaluated,
)
from modelops.runner.records import History, Trial, TrialOutcome
from modelops.runner.snapshots import Position
from modelops.runner.stopping import StoppingRule

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

    Guarantees: each ask and each result is to be recorded; each trial is told once. With the order
    `ask` that is in order of number, and what the algorithm sees, and where the run stops, depends
    on the plan, the algorithm and the simulations' results alone. With the order `completion` it's
    in the order in which they ended, which is recorded, so that a replay gives the same.

    The instructions of one list are to be carried out in its order. `Ask` is always the last.
    """

    def __init__(
        self,
        plan: RunPlan,
        history: History | None = None,
        begin_at: Position | None = None,
        *,
        asked_all: bool = False,
    ) -> None:
        """Make the loop of a run.

        Args:
            plan: the run's.
            history: what its journal holds.
            begin_at: what the algorithm has seen of that already; nothing if left out.
            asked_all: whether the algorithm has finished by then.
        """
        self._plan = plan
        self._begin_at = begin_at or Position()
        self._asked_all_before = asked_all
        self._history = history or History()
        self._rule = StoppingRule(plan.limits, plan.n_trials)
        self._by_completion = plan.order is TrialOrder.COMPLETION
        # Which trial was told, or is to be told, as which: those that ended, in their order.
        self._places = dict(self._history.places)
        self._asked: list[UniqueParameterSet] = []
        self._told = 0
        self._running: dict[int, _Running] = {}
        self._ended: dict[int, TrialOutcome] = {}
        self._waiting_for_answer = False
        self._asked_in_vain = False
        self._asked_all = False
        self._pausing = False
        self._paused = False
        # Of trials that were asked while the run was about to pause.
        self._held_back: list[Submit] = []
        self._stopped = False

    def start(self) -> list[Instruction]:
        """Return the first instructions. What is wanted already may be handled before."""
        return [*self._take_up(), *self._advance()]

    def handle(self, event: Event) -> list[Instruction]:
        """Return what is to be done now that `event` happened; after `Stop` it's nothing.

        While a pause is wanted nothing is asked and nothing submitted; what is under way ends and
        is recorded, and then the pause is. A run of which all was asked comes to its end instead.
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
            case PauseWanted():
                self._pausing = True
                instructions = []
            case ResumeWanted():
                instructions = self._resume()
            case CancelWanted():
                self._stopped = True
                return [Stop(failed=False, cancelled=True)]
            case TimeIsUp():
                return [self._end_in_time()]
        return [*instructions, *self._advance()]

    def _take_up(self) -> list[Instruction]:
        """Take what the algorithm has seen; return how to go on with what hadn't ended of it."""
        instructions: list[Instruction] = []
        for number in range(self._begin_at.asked):
            instructions += self._add(self._history.asked[number])
        for place in range(self._begin_at.told):
            number = self._history.told_as(place)
            self._rule.failure(number, self._ended[number])
            self._told += 1
        is_last = len(self._asked) >= self._plan.n_trials
        self._asked_all = is_last or self._asked_all_before
        return instructions

    def _advance(self) -> list[Instruction]:
        instructions: list[Instruction] = []
        while not self._waiting_for_answer and not self._stopped:
            next_told = self._next_told()
            if next_told is None and self._has_room():
                if self._pausing:
                    break
                self._waiting_for_answer = True
                instructions.append(Ask())
            elif self._told == len(self._asked):
                instructions.append(self._end())
            elif next_told is not None:
                instructions.extend(self._tell(next_told))
            else:
                break
        if self._pausing and not self._paused and self._is_idle():
            self._paused = True
            instructions.append(RecordPause())
        return instructions

    def _has_room(self) -> bool:
        """Whether another trial may be asked for."""
        is_asked = self._asked_all or self._asked_in_vain
        return not is_asked and len(self._asked) - self._told < self._plan.n_parallel

    def _next_told(self) -> int | None:
        """Return the trial that the algorithm is to be told of now; None if it isn't time to."""
        if not self._by_completion:
            return self._told if not self._has_room() and self._told in self._ended else None
        recorded = self._history.asked.get(len(self._asked))
        if recorded is not None and recorded.told is not None and recorded.told <= self._told:
            # It was asked for before anything else was told.
            return None
        number = self._places.get(self._told)
        return number if number in self._ended else None

    def _is_idle(self) -> bool:
        """Whether nothing is under way."""
        held_back = {submit.trial for submit in self._held_back}
        return not (self._waiting_for_answer or self._stopped or self._running.keys() - held_back)

    def _resume(self) -> list[Instruction]:
        instructions: list[Instruction] = [RecordResume()] if self._paused else []
        instructions += self._held_back
        self._held_back = []
        self._pausing = self._paused = False
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
        trial = Trial.planned(
            self._plan, parameters, told=self._told if self._by_completion else None
        )
        self._asked_all = finished or number + 1 >= self._plan.n_trials
        recorded = self._history.asked.get(number)
        if recorded is not None:
            _refuse_other(recorded, trial)
        submits = self._add(trial)
        return submits if recorded is not None else [RecordAsk(trial), *submits]

    def _add(self, trial: Trial) -> list[Instruction]:
        """Take a trial as the next; return how to start it, if it hasn't ended and may start."""
        number = len(self._asked)
        self._asked.append(trial.parameters)
        if number in self._history.ended:
            self._ended[number] = self._history.ended[number]
            return []
        self._running[number] = _Running(trial)
        submits = [
            Submit(number, replicate, trial.parameters, seed)
            for replicate, seed in enumerate(trial.seeds)
        ]
        if self._pausing:
            self._held_back += submits
            return []
        return list(submits)

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
        return [Evaluate(number, tuple(item.outputs for item in returns))]

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
        if not self._by_completion:
            return [RecordResult(number, outcome)]
        place = len(self._places)
        self._places[place] = number
        return [RecordResult(number, outcome, place)]

    def _already_ended(self, number: int) -> list[Instruction]:
        if not 0 <= number < len(self._asked):
            raise ValueError(f"trial {number} was never asked")
        return []

    def _tell(self, number: int) -> list[Instruction]:
        outcome = self._ended[number]
        self._told += 1
        self._asked_in_vain = False
        instructions: list[Instruction] = [Tell(_result(self._asked[number], outcome))]
        failure = self._rule.failure(number, outcome)
        if failure:
            instructions.append(self._stop(failure))
        elif enough := self._rule.enough:
            instructions.append(self._stop(enough, failed=self._rule.is_in_vain))
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
        if self._rule.is_in_vain:
            return self._stop("The run has no result: not one trial completed.")
        return self._stop("", failed=False)

    def _end_in_time(self) -> Stop:
        # Trials that wait to be told after a slower one have ended too.
        ended = {**self._history.ended, **self._ended}.values()
        is_in_vain = all(outcome.status is not TrialStatus.COMPLETED for outcome in ended)
        return self._stop(self._rule.time_is_up(len(ended)), failed=is_in_vain)

    def _stop(self, message: str, *, failed: bool = True) -> Stop:
        self._stopped = True
        return Stop(failed=failed, message=message)


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
