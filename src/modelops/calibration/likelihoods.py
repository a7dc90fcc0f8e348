"""Negative log-likelihoods: the simulation gives the mean of what was observed.

The replicates are taken together in one of three ways:

- `on="mean"`: the likelihood of their mean. For models whose own chance is small or is meant to be
  averaged out: the data scatter around the model's expectation.
- `on="replicate"`: the mean of their negative log-likelihoods. It punishes any replicate that can't
  explain the data, so that models with less chance are preferred.
- `on="likelihood"`: the negative logarithm of the mean of their likelihoods. For stochastic models
  this is the likelihood of the parameters, of which each replicate's is an unbiased estimate
  (Andrieu and Roberts 2009): the data scatter around one outcome that isn't known. The points of a
  replicate belong together, so that likelihoods are multiplied over points before they are
  averaged. It needs enough replicates that some are near the data.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np

from modelops.calibration.alignment import Aligned
from modelops.calibration.axes import is_number
from modelops.calibration.densities import (
    beta_binomial_nll,
    gaussian_nll,
    negative_binomial_nll,
    poisson_nll,
)
from modelops.calibration.frames import OBSERVED, FloatArray
from modelops.calibration.losses import PointwiseLoss, exact_sum
from modelops.calibration.point_values import (
    COUNT,
    FINITE_POSITIVE,
    NOT_NEGATIVE,
    POSITIVE,
    PROBABILITY,
    Domain,
    PointValues,
    frozen,
    of_points,
    require,
)
from modelops.core.errors import CalibrationError


@dataclass(frozen=True)
class Likelihood(PointwiseLoss):
    """A loss that is a negative log-likelihood, its constant terms included.

    Attributes:
        on: "mean", "replicate" or "likelihood"; what they mean is said at the top of this module.
        weights: as for other losses: a weight is the power of a point's likelihood.
    """

    ONS: ClassVar[tuple[str, ...]] = ("mean", "replicate", "likelihood")

    def _check(self, aligned: Aligned, simulated: FloatArray, terms: FloatArray) -> None:
        infinite = np.isinf(terms)
        rows = infinite.any(axis=1)
        if rows.all() if self.on == "likelihood" else rows.any():
            row = int(np.argmax(rows))
            point = int(np.argmax(infinite[row]))
            raise CalibrationError(
                f"{self._row_name(row)} makes the observed data impossible: at point {point} it is "
                f"{simulated[row, point]:g}, but {aligned.observed[point]:g} was observed.",
                hint="Give the loss a `floor`, or look at what the model writes there.",
            )

    def _combine(self, losses: list[float]) -> float:
        if self.on != "likelihood":
            return super()._combine(losses)
        # The best of them is taken out, so that the others can't all become 0.
        best = min(losses)
        mean = exact_sum([math.exp(best - loss) for loss in losses]) / len(losses)
        return best - math.log(mean)

    def _require(self, simulated: FloatArray, domain: Domain) -> None:
        if not np.all(domain.holds(simulated)):
            for row, values in enumerate(simulated):
                require(values, domain, self._row_name(row))

    def _row_name(self, row: int) -> str:
        return "the replicates' mean" if self.on == "mean" else f"replicate {row}"


@dataclass(frozen=True)
class GaussianNLL(Likelihood):
    """Observations scatter around the simulation with a normal distribution.

    Attributes:
        sigma: the standard deviation, above 0, in the data's unit: a number, a column of the
            observed data, or a number for each observed row.
    """

    sigma: PointValues = field(kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "sigma", frozen(self.sigma, "sigma", FINITE_POSITIVE))

    def _terms(self, aligned: Aligned, simulated: FloatArray) -> FloatArray:
        sigma = of_points(self.sigma, "sigma", FINITE_POSITIVE, aligned)
        return gaussian_nll(aligned.observed, simulated, sigma)


@dataclass(frozen=True)
class PoissonNLL(Likelihood):
    """Observed are counts from a Poisson distribution whose mean is simulated.

    Attributes:
        floor: a simulated mean below it counts as it. Where nothing is simulated nothing can be
            observed: with a floor of 0 that is an error.
    """

    floor: float = field(default=0.0, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "floor", _floor(self.floor, math.inf))

    def _terms(self, aligned: Aligned, simulated: FloatArray) -> FloatArray:
        require(aligned.observed, COUNT, OBSERVED)
        self._require(simulated, NOT_NEGATIVE)
        return poisson_nll(aligned.observed, np.maximum(simulated, self.floor))


@dataclass(frozen=True)
class NegativeBinomialNLL(Likelihood):
    """Observed are counts that scatter more than a Poisson distribution's.

    With the simulated mean μ and the dispersion k the variance is μ + μ²/k; `scipy.stats.nbinom`
    has it as n = k, p = k/(k + μ).

    Attributes:
        dispersion: k, above 0: the smaller the more they scatter; `math.inf` is Poisson's
            distribution. A number, a column of the observed data, or a number for each observed
            row.
        floor: as for `PoissonNLL`.
    """

    dispersion: PointValues = field(kw_only=True)
    floor: float = field(default=0.0, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "dispersion", frozen(self.dispersion, "the dispersion", POSITIVE))
        object.__setattr__(self, "floor", _floor(self.floor, math.inf))

    def _terms(self, aligned: Aligned, simulated: FloatArray) -> FloatArray:
        require(aligned.observed, COUNT, OBSERVED)
        self._require(simulated, NOT_NEGATIVE)
        dispersion = of_points(self.dispersion, "the dispersion", POSITIVE, aligned)
        mean = np.maximum(simulated, self.floor)
        return negative_binomial_nll(aligned.observed, mean, dispersion)


@dataclass(frozen=True)
class BetaBinomialNLL(Likelihood):
    """Observed are successes in a number of trials, such as positives among those tested.

    The probability of success scatters around the simulated one, p, as Beta(pc, (1-p)c);
    `scipy.stats.betabinom` has it as a = pc, b = (1-p)c.

    Attributes:
        trials: how many trials there were, whole numbers from 0, no fewer than successes: a number,
            a column of the observed data, or a number for each observed row.
        concentration: c, above 0: the smaller the more the probability scatters; `math.inf` is the
            binomial distribution. Given as `trials` are.
        simulated: whether the model gives a "probability", or the expected "count" of successes in
            as many trials.
        floor: a probability below it counts as it, and one above 1 - floor as that; below 0.5.
    """

    trials: PointValues = field(kw_only=True)
    concentration: PointValues = field(kw_only=True)
    simulated: Literal["probability", "count"] = field(default="probability", kw_only=True)
    floor: float = field(default=0.0, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.simulated not in ("probability", "count"):
            raise CalibrationError(
                f"Simulated are {self.simulated!r}, which isn't known.",
                hint='Write simulated="probability" or simulated="count".',
            )
        object.__setattr__(self, "trials", frozen(self.trials, "the number of trials", COUNT))
        concentration = frozen(self.concentration, "the concentration", POSITIVE)
        object.__setattr__(self, "concentration", concentration)
        object.__setattr__(self, "floor", _floor(self.floor, 0.5))

    def _terms(self, aligned: Aligned, simulated: FloatArray) -> FloatArray:
        count = aligned.observed
        require(count, COUNT, OBSERVED)
        trials = of_points(self.trials, "the number of trials", COUNT, aligned)
        if (count > trials).any():
            point = int(np.argmax(count > trials))
            raise CalibrationError(
                f"{OBSERVED} at point {point}: {count[point]:g} successes in only "
                f"{trials[point]:g} trials."
            )
        concentration = of_points(self.concentration, "the concentration", POSITIVE, aligned)
        probability = simulated
        if self.simulated == "count":
            self._require(simulated, Domain("from 0 to the number of trials", _up_to(trials)))
            probability = simulated / np.maximum(trials, 1)
        self._require(probability, PROBABILITY)
        clipped = np.clip(probability, self.floor, 1 - self.floor)
        return beta_binomial_nll(count, trials, clipped, concentration)


def _up_to(most: FloatArray) -> Callable[[FloatArray], Any]:
    return lambda values: (values >= 0) & (values <= most)


def _floor(floor: float, below: float) -> float:
    if not is_number(floor) or not 0 <= floor < below:
        raise CalibrationError(
            f"The floor is {floor!r}; it must be from 0 and "
            + ("finite." if below == math.inf else f"below {below}.")
        )
    return float(floor)
