"""The seam to whatever turns a trial's tables into its loss."""

import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, Self

from modelops.contracts import AlignedOutputs, Outputs, SimFailure
from modelops.worker.answers import LazyTables

MOST_AT_ONCE, FULL_BYTES = 256, 32 * 2**20
"""How many trials, and about how many bytes of them, are evaluated together."""

_PART_BYTES = 1024
"""What a table, or a target's points, counts for beside its bytes: a message has limited parts."""

Replicates = Sequence[Outputs]
"""What a trial's simulations gave."""


class Evaluated(Protocol):
    """What came of an evaluation: a loss with each target's part, or a failure and no loss."""

    @property
    def loss(self) -> float | None:
        """The weighted sum of the targets' losses; None if the evaluation failed."""

    @property
    def parts(self) -> Mapping[str, float]:
        """Target → its own loss."""

    @property
    def failure(self) -> SimFailure | None:
        """Why there is no loss."""


class Evaluator(Protocol):
    """Compares the simulations of trials with a bundle's targets."""

    def evaluate(self, trials: Sequence[Replicates]) -> Sequence[Evaluated]:
        """Evaluate trials, and return what came of each in order.

        It is called from one thread at a time. A fault of the bundle's code is returned, not
        raised.
        """
        ...


class Evaluations:
    """Evaluates trials in a thread: all that wait together, since a message costs as much as many.

    A context; when it's left, what waits is given up.
    """

    def __init__(self, evaluator: Evaluator, tell: Callable[[int, Evaluated | Exception], None]):
        """Make it.

        Args:
            evaluator: evaluates.
            tell: told of each trial by its number what came of it, or what the evaluator raised;
                from the thread.
        """
        self._evaluator = evaluator
        self._tell = tell
        self._waiting: queue.SimpleQueue[tuple[int, Replicates] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="evaluation", daemon=True)

    def submit(self, trial: int, replicates: Replicates) -> None:
        """Have a trial evaluated."""
        self._waiting.put((trial, replicates))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._waiting.put(None)

    def _work(self) -> None:
        while batch := self._next():
            try:
                outcomes: Sequence[Evaluated | Exception] = self._evaluator.evaluate(
                    [replicates for _, replicates in batch]
                )
            except Exception as error:  # noqa: BLE001 - it's told to whoever waits
                outcomes = [error] * len(batch)
            for (trial, _), outcome in zip(batch, outcomes, strict=True):
                self._tell(trial, outcome)

    def _next(self) -> list[tuple[int, Replicates]]:
        """Return what waits, as much as fits into a message; empty if it's over."""
        batch: list[tuple[int, Replicates]] = []
        size = 0
        while len(batch) < MOST_AT_ONCE and size < FULL_BYTES:
            try:
                # Only the first is waited for.
                item = self._waiting.get(block=not batch)
            except queue.Empty:
                break
            if item is None:
                # What was taken with it is given up too.
                return []
            batch.append(item)
            size += sum(map(_size, item[1]))
        return batch


def _size(outputs: Outputs) -> int:
    if isinstance(outputs, LazyTables):
        return _PART_BYTES * len(outputs) + outputs.size
    parts = outputs.points if isinstance(outputs, AlignedOutputs) else outputs
    return sum(_PART_BYTES + len(data) for data in parts.values())
