"""A run without I/O: an algorithm, a model and a journal that are lists, events in any order."""

import hashlib
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from modelops.contracts import (
    BundleRef,
    FailureReason,
    FloatParameter,
    Limits,
    RunPlan,
    Scalar,
    SearchSpace,
    SimFailure,
    SimReturn,
    SimStatus,
    SnapshotError,
    TrialOrder,
    TrialResult,
    UniqueParameterSet,
)
from modelops.runner.instructions import (
    Ask,
    Asked,
    Evaluate,
    Event,
    Instruction,
    PauseWanted,
    RecordAsk,
    RecordPause,
    RecordResult,
    ResumeWanted,
    SimulationFinished,
    Stop,
    Submit,
    Tell,
    TrialEvaluated,
)
from modelops.runner.loop import RunLoop
from modelops.runner.records import History
from modelops.runner.snapshots import Position

REF = BundleRef("sir", f"sha256:{'ab' * 32}")
SPACE = SearchSpace({"x": FloatParameter(0.0, 1.0)})


def make_plan(
    n_trials: int = 12,
    n_parallel: int = 4,
    replicates: int = 2,
    max_failures: float = 1000,
    order: TrialOrder = TrialOrder.ASK,
    **limits: float,
) -> RunPlan:
    return RunPlan(
        algorithm="fit",
        type="chain",
        bundle_ref=REF,
        space=SPACE,
        targets=("x",),
        seed=7,
        n_trials=n_trials,
        n_parallel=n_parallel,
        replicates=replicates,
        limits=Limits(max_failures=max_failures, **limits),
        order=order,
    )


class ChainAlgorithm:
    """Asks for what follows from every call so far, so that any other sequence shows.

    With a `generation` it gives that many trials, then none until all of them were told.
    """

    def __init__(self, n_trials: int, generation: int | None = None, salt: str = "") -> None:
        self.calls: list[tuple[object, ...]] = []
        self._n_trials = n_trials
        self._generation = generation or n_trials
        self._asked = 0
        self._told = 0
        self._state = hashlib.sha256(salt.encode())

    def ask(self, n: int) -> list[UniqueParameterSet]:
        assert n == 1
        waits = self._asked % self._generation == 0 and self._told < self._asked
        if self.finished() or waits:
            return []
        x = int.from_bytes(self._state.digest()[:4], "big") / 2**32
        asked = UniqueParameterSet.from_dict({"x": x}, trial=self._asked)
        self._asked += 1
        self._note("ask", asked.trial, asked.param_id)
        return [asked]

    def tell(self, results: Sequence[TrialResult]) -> None:
        (result,) = results
        self._told += 1
        self._note("tell", result.trial, result.status.value, repr(result.loss))

    def finished(self) -> bool:
        return self._asked >= self._n_trials

    def _note(self, *call: object) -> None:
        self.calls.append(call)
        self._state.update(repr(call).encode())


class KeptAlgorithm(ChainAlgorithm):
    """A chain whose state can be kept.

    Attributes:
        asks: how often it was asked by the run that goes on.
    """

    asks = 0

    def ask(self, n: int) -> list[UniqueParameterSet]:
        self.asks += 1
        return super().ask(n)

    def snapshot(self) -> bytes:
        return json.dumps(self.calls).encode()

    def restore(self, snapshot: bytes) -> None:
        try:
            calls = json.loads(snapshot)
        except ValueError as error:
            raise SnapshotError("it's damaged") from error
        for call in calls:
            self._asked += call[0] == "ask"
            self._told += call[0] == "tell"
            self._note(*call)


def simulate(params: dict[str, Scalar], seed: int, share_failing: float) -> SimReturn:
    """A model that depends on its parameters and seed alone; some of its calls fail."""
    noise = random.Random(seed).random()
    if noise < share_failing:
        reason = FailureReason.TIMEOUT if noise < share_failing / 3 else FailureReason.MODEL
        failure = SimFailure(reason, f"seed {seed} is unlucky")
        return SimReturn("task", SimStatus.FAILED, failure=failure, seconds=1.0)
    table = repr((params["x"], noise)).encode()
    return SimReturn("task", SimStatus.COMPLETED, {"output": table}, seconds=1.0)


def evaluate(number: int, replicates: Sequence[dict[str, bytes]]) -> TrialEvaluated:
    """A loss that depends on the order of the replicates too."""
    digest = hashlib.sha256(b"|".join(tables["output"] for tables in replicates)).digest()
    if digest[0] < 12:
        failure = SimFailure(FailureReason.MODEL, "the targets can't be evaluated")
        return TrialEvaluated(number, None, {}, failure)
    loss = int.from_bytes(digest[:4], "big") / 2**32
    return TrialEvaluated(number, loss, {"x": loss})


@dataclass
class SimulatedRun:
    """What happened in one run of the loop."""

    journal: list[RecordAsk | RecordResult] = field(default_factory=list)
    submitted: list[Submit] = field(default_factory=list)
    instructions: list[Instruction] = field(default_factory=list)
    calls: list[tuple[object, ...]] = field(default_factory=list)
    stop: Stop | None = None

    def outcomes(self) -> dict[int, RecordResult]:
        records = [item for item in self.journal if isinstance(item, RecordResult)]
        assert len({item.trial for item in records}) == len(records), "a result was written twice"
        return {item.trial: item for item in records}


def follow(
    plan: RunPlan,
    algorithm: ChainAlgorithm,
    choose: Callable[[int], int],
    *,
    history: History | None = None,
    share_failing: float = 0.0,
    wish: Callable[[], Event | None] = lambda: None,
    begin_at: Position | None = None,
) -> SimulatedRun:
    """Carry the loop's instructions out; `choose(n)` says which of n waiting events is next.

    `wish` may give an event of what somebody wants, at the start and before each other event. A
    run that is paused and has nothing under way is resumed.
    """
    run = SimulatedRun(calls=algorithm.calls)
    loop = RunLoop(plan, history, begin_at, asked_all=algorithm.finished())
    waiting: list[Event] = []
    wanted = wish()
    is_pausing = isinstance(wanted, PauseWanted)
    instructions = [] if wanted is None else loop.handle(wanted)
    instructions += loop.start()
    while True:
        for instruction in instructions:
            assert run.stop is None, "something was asked for after the stop"
            assert not (is_pausing and isinstance(instruction, Ask | Submit)), "it is to pause"
            assert not (waiting and isinstance(instruction, RecordPause)), "something is under way"
            event = perform(instruction, run, algorithm, share_failing)
            if event is not None:
                waiting.append(event)
        if run.stop is not None:
            return run
        wanted = wish()
        if wanted is None and is_pausing and not waiting:
            assert isinstance(run.instructions[-1], RecordPause)
            wanted = ResumeWanted()
        if wanted is not None:
            is_pausing = isinstance(wanted, PauseWanted)
            instructions = loop.handle(wanted)
        else:
            assert waiting, "the loop waits for nothing"
            instructions = loop.handle(waiting.pop(choose(len(waiting))))


def perform(
    instruction: Instruction, run: SimulatedRun, algorithm: ChainAlgorithm, share_failing: float
) -> Event | None:
    """Carry an instruction out and return what comes of it."""
    run.instructions.append(instruction)
    match instruction:
        case Ask():
            asked = algorithm.ask(1)
            return Asked(asked[0] if asked else None, algorithm.finished())
        case RecordAsk() | RecordResult():
            run.journal.append(instruction)
        case Submit(number, replicate, parameters, seed):
            run.submitted.append(instruction)
            result = simulate(dict(parameters.params), seed, share_failing)
            return SimulationFinished(number, replicate, result)
        case Evaluate(number, replicates):
            return evaluate(number, [dict(tables) for tables in replicates])
        case Tell(told):
            algorithm.tell([told])
        case Stop():
            run.stop = instruction
    return None


def history_of(journal: Sequence[RecordAsk | RecordResult]) -> History:
    return History(
        asked={item.trial.number: item.trial for item in journal if isinstance(item, RecordAsk)},
        ended={item.trial: item.outcome for item in journal if isinstance(item, RecordResult)},
        places={
            item.place: item.trial
            for item in journal
            if isinstance(item, RecordResult) and item.place is not None
        },
    )
