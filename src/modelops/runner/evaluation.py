"""The seam to whatever turns a trial's tables into its loss."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from modelops.contracts import SimFailure


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
    """Compares the simulations of one trial with a bundle's targets."""

    def evaluate(self, replicates: Sequence[Mapping[str, bytes]]) -> Evaluated:
        """Evaluate the tables of each replicate, name → Arrow IPC stream.

        It is called from one thread at a time. A fault of the bundle's code is returned, not
        raised.
        """
        ...
