"""Losses: how far a simulation is from the data, as one number (smaller is better).

Each is computed on the mean of the replicates (`on="mean"`) or for each replicate, and then the
mean of that (`on="replicate"`). Sums are exactly rounded (`math.fsum`), so that neither the order
of the replicates nor that of the points changes a bit of the loss.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np

from modelops.calibration.alignment import Aligned
from modelops.calibration.frames import FloatArray
from modelops.core.errors import CalibrationError


@runtime_checkable
class EvaluationStrategy(Protocol):
    """Makes one number of aligned data.

    Guarantees: the order of the replicates and of the points doesn't change the loss.
    """

    def evaluate(self, aligned: Aligned) -> float:
        """Return the loss; smaller is better."""
        ...


@dataclass(frozen=True)
class _PointwiseLoss(ABC):
    on: Literal["mean", "replicate"] = "mean"

    def __post_init__(self) -> None:
        if self.on not in ("mean", "replicate"):
            raise CalibrationError(
                f"A loss is taken on {self.on!r}, which isn't known.",
                hint='Write on="mean" or on="replicate".',
            )

    def evaluate(self, aligned: Aligned) -> float:
        """Return the loss of the replicates' mean, or the mean of the replicates' losses."""
        # An overflow gives infinity, which `evaluate_targets` reports as a loss that isn't finite.
        with np.errstate(over="ignore"):
            if self.on == "mean":
                return self._loss(aligned.observed, _replicate_mean(aligned.simulated))
            losses = [self._loss(aligned.observed, replicate) for replicate in aligned.simulated]
            return exact_sum(losses) / len(losses)

    @abstractmethod
    def _loss(self, observed: FloatArray, simulated: FloatArray) -> float:
        """Return the loss of one simulated series; both have the shape (points,)."""


@dataclass(frozen=True)
class SquaredError(_PointwiseLoss):
    """The sum over the points of (observed - simulated)²; the sum, not the mean."""

    def _loss(self, observed: FloatArray, simulated: FloatArray) -> float:
        return exact_sum(np.square(observed - simulated))


@dataclass(frozen=True)
class AbsoluteError(_PointwiseLoss):
    """The sum over the points of |observed - simulated|; the sum, not the mean."""

    def _loss(self, observed: FloatArray, simulated: FloatArray) -> float:
        return exact_sum(np.abs(observed - simulated))


@dataclass(frozen=True)
class RMSE(_PointwiseLoss):
    """The root of the mean over the points of (observed - simulated)², in the data's own unit."""

    def _loss(self, observed: FloatArray, simulated: FloatArray) -> float:
        squares = np.square(observed - simulated)
        return math.sqrt(exact_sum(squares) / len(observed))


def exact_sum(terms: Iterable[float]) -> float:
    """Return the exactly rounded sum, whatever the order; infinity if it's too large."""
    try:
        return math.fsum(terms)
    except OverflowError:
        return math.inf


def _replicate_mean(simulated: FloatArray) -> FloatArray:
    sums = [exact_sum(point) for point in simulated.T]
    return np.asarray(sums, dtype=np.float64) / len(simulated)
