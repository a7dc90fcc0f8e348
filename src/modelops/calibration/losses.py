"""Losses: how far a simulation is from the data, as one number (smaller is better).

Each is computed on the mean of the replicates (`on="mean"`) or for each replicate, and then the
mean of that (`on="replicate"`). Sums are exactly rounded (`math.fsum`), so that neither the order
of the replicates nor that of the points changes a bit of the loss.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

import numpy as np

from modelops.calibration.alignment import Aligned
from modelops.calibration.frames import FloatArray
from modelops.calibration.point_values import NOT_NEGATIVE, PointValues, frozen, of_points
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
class PointwiseLoss(ABC):
    """A loss that is a sum over the points.

    Attributes:
        on: "mean" for the loss of the replicates' mean, "replicate" for the mean of the replicates'
            losses.
        weights: of the points: a point of weight 2 counts like two such points. A column of the
            observed data, or a number for each observed row, from 0.

    Raises:
        CalibrationError: if `on` isn't known, or a weight is negative or not finite.
    """

    on: str = "mean"
    weights: PointValues = 1.0

    ONS: ClassVar[tuple[str, ...]] = ("mean", "replicate")
    """What the loss can be taken on."""

    def __post_init__(self) -> None:
        if self.on not in self.ONS:
            words = [f'on="{on}"' for on in self.ONS]
            raise CalibrationError(
                f"A loss is taken on {self.on!r}, which isn't known.",
                hint=f"Write {', '.join(words[:-1])} or {words[-1]}.",
            )
        object.__setattr__(self, "weights", frozen(self.weights, "a weight", NOT_NEGATIVE))

    def evaluate(self, aligned: Aligned) -> float:
        """Return the loss.

        Raises:
            CalibrationError: if the data aren't what the loss is made for, or a column that it
                needs is missing.
        """
        on_mean = self.on == "mean"
        simulated = _replicate_mean(aligned.simulated) if on_mean else aligned.simulated
        # An overflow gives infinity, which `evaluate_targets` reports as a loss that isn't finite.
        with np.errstate(over="ignore"):
            terms = self._terms(aligned, simulated)
            sum_of_weights = float(terms.shape[1])
            if self.weights != 1:
                weights = of_points(self.weights, "the weight", NOT_NEGATIVE, aligned)
                sum_of_weights = exact_sum(weights.tolist())
                # A point of weight 0 doesn't count, even if it is infinitely far away.
                terms = np.multiply(terms, weights, out=np.zeros_like(terms), where=weights != 0)
        self._check(aligned, simulated, terms)
        return self._combine([self._total(row, sum_of_weights) for row in terms.tolist()])

    @abstractmethod
    def _terms(self, aligned: Aligned, simulated: FloatArray) -> FloatArray:
        """Return what each point adds to the loss, without weights.

        Args:
            aligned: the observed points.
            simulated: the replicates or, in one row, their mean; shape (rows, points), as returned.
        """

    def _check(  # noqa: B027 — most losses take whatever comes
        self, aligned: Aligned, simulated: FloatArray, terms: FloatArray
    ) -> None:
        """Raise CalibrationError if the weighted terms make no loss."""

    def _total(self, terms: list[float], sum_of_weights: float) -> float:
        """Return the loss of one simulated series."""
        del sum_of_weights
        return exact_sum(terms)

    def _combine(self, losses: list[float]) -> float:
        """Return one loss for those of the replicates."""
        return exact_sum(losses) / len(losses)


@dataclass(frozen=True)
class SquaredError(PointwiseLoss):
    """The sum over the points of (observed - simulated)²; the sum, not the mean."""

    def _terms(self, aligned: Aligned, simulated: FloatArray) -> FloatArray:
        return np.square(aligned.observed - simulated)


@dataclass(frozen=True)
class AbsoluteError(PointwiseLoss):
    """The sum over the points of |observed - simulated|; the sum, not the mean."""

    def _terms(self, aligned: Aligned, simulated: FloatArray) -> FloatArray:
        return np.abs(aligned.observed - simulated)


@dataclass(frozen=True)
class RMSE(PointwiseLoss):
    """The root of the mean over the points of (observed - simulated)², in the data's own unit.

    With weights it is the weighted mean: weights that are all twice as large change nothing.
    """

    def _terms(self, aligned: Aligned, simulated: FloatArray) -> FloatArray:
        return np.square(aligned.observed - simulated)

    def _total(self, terms: list[float], sum_of_weights: float) -> float:
        if sum_of_weights == 0:
            raise CalibrationError("All points have the weight 0: there is no mean over them.")
        return math.sqrt(exact_sum(terms) / sum_of_weights)


def exact_sum(terms: Iterable[float]) -> float:
    """Return the exactly rounded sum, whatever the order; infinity if it's too large."""
    try:
        return math.fsum(terms)
    except OverflowError:
        return math.inf


def _replicate_mean(simulated: FloatArray) -> FloatArray:
    """Return the mean over the replicates, shape (1, points)."""
    sums = [exact_sum(point) for point in simulated.T.tolist()]
    return np.array([sums]) / len(simulated)
