"""Which trials are evaluated together."""

import threading
from collections.abc import Sequence

from modelops.contracts import AlignedOutputs
from modelops.runner.evaluation import Evaluated, Evaluations, Replicates
from modelops.runner.instructions import TrialEvaluated
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


def test_points_of_many_targets_fit_into_a_message() -> None:
    outputs = AlignedOutputs({f"target {index}": bytes(8) for index in range(TARGETS)})
    told: list[int] = []
    all_told = threading.Event()

    def tell(trial: int, outcome: Evaluated | Exception) -> None:
        assert not isinstance(outcome, Exception)
        told.append(trial)
        if len(told) == TRIALS:
            all_told.set()

    counter = Counter()
    evaluations = Evaluations(counter, tell)
    for trial in range(TRIALS):
        evaluations.submit(trial, [outputs] * REPLICATES)
    with evaluations:
        assert all_told.wait(30)
    assert told == list(range(TRIALS))
    assert sum(counter.parts) == TRIALS * REPLICATES * TARGETS > MAX_PAYLOADS
    assert max(counter.parts) <= MAX_PAYLOADS
    assert len(counter.parts) < TRIALS / 10
