"""Which trials are evaluated together."""

import threading
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from modelops.contracts import AlignedOutputs
from modelops.runner.evaluation import FULL_BYTES, Evaluated, Evaluations, Evaluator, Replicates
from modelops.runner.instructions import TrialEvaluated
from modelops.worker.answer_builder import AnswerBuilder
from modelops.worker.answers import Answers
from modelops.worker.frames import MAX_PAYLOADS

TRIALS, REPLICATES, TARGETS = 200, 20, 30


class Counter:
    """Counts the parts of each message."""

    def __init__(self) -> None:
        self.parts: list[int] = []

    def evaluate(self, trials: Sequence[Replicates]) -> list[TrialEvaluated]:
        self.parts.append(0)
        for outputs in (each for replicates in trials for each in replicates):
            assert isinstance(outputs, AlignedOutputs)
            self.parts[-1] += len(outputs.points)
        return [TrialEvaluated(0, 1.0, {}) for _ in trials]


def evaluated_in_order(evaluator: Evaluator, trials: Sequence[Replicates]) -> None:
    told: list[int] = []
    all_told = threading.Event()

    def tell(trial: int, outcome: Evaluated | Exception) -> None:
        assert not isinstance(outcome, Exception)
        told.append(trial)
        if len(told) == len(trials):
            all_told.set()

    evaluations = Evaluations(evaluator, tell)
    for number, replicates in enumerate(trials):
        evaluations.submit(number, replicates)
    with evaluations:
        assert all_told.wait(30)
    assert told == list(range(len(trials)))


def test_points_of_many_targets_fit_into_a_message() -> None:
    outputs = AlignedOutputs({f"target {index}": bytes(8) for index in range(TARGETS)})
    counter = Counter()

    evaluated_in_order(counter, [[outputs] * REPLICATES] * TRIALS)

    assert sum(counter.parts) == TRIALS * REPLICATES * TARGETS > MAX_PAYLOADS
    assert max(counter.parts) <= MAX_PAYLOADS
    assert len(counter.parts) < TRIALS / 10


class Sizes:
    """Notes how many trials come together."""

    def __init__(self) -> None:
        self.trials: list[int] = []

    def evaluate(self, trials: Sequence[Replicates]) -> list[TrialEvaluated]:
        self.trials.append(len(trials))
        return [TrialEvaluated(0, 1.0, {}) for _ in trials]


def test_large_tables_of_one_chunk_go_in_several_messages() -> None:
    builder = AnswerBuilder()
    for _ in range(8):
        builder.add_tables({"output": pa.table({"x": np.zeros(FULL_BYTES // 3 // 8)})})
        builder.note(0.0, 0.0, "")
    answers = Answers(builder.encode())
    sizes = Sizes()

    evaluated_in_order(sizes, [[answers.outcome(trial, "").outputs] for trial in range(8)])

    assert sizes.trials == [3, 3, 2]
