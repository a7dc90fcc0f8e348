"""The next tolerance of an ABC sequence, from the distances of the last population."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def effective_sample_size(weights: Array) -> float:
    """Return 1 / Σ w² of weights that add up to 1 (Kong, Liu and Wong 1994)."""
    return float(1.0 / np.sum(weights**2))


def quantile_tolerance(distances: Array, weights: Array, alpha: float) -> float:
    """Return the smallest distance that at least `alpha` of the weight lies within."""
    order = np.argsort(distances, kind="stable")
    return _first(distances[order], np.cumsum(weights[order]) >= alpha)


def ess_tolerance(distances: Array, weights: Array, alpha: float) -> float:
    """Return the smallest distance within which the effective sample size is `alpha` of the whole.

    The rule of Del Moral, Doucet and Jasra (2012), equation 12.
    """
    order = np.argsort(distances, kind="stable")
    sums, squares = np.cumsum(weights[order]), np.cumsum(weights[order] ** 2)
    enough = sums**2 / squares >= alpha * effective_sample_size(weights)
    return _first(distances[order], enough)


def next_tolerance(
    proposed: float, distances: Array, tolerance: float, minimum: float
) -> float | None:
    """Return a tolerance below the last one, not below the minimum, or None if there is none.

    Where distances have few values, `proposed` may be the last tolerance again: then it's the
    largest distance below it.
    """
    if tolerance <= minimum:
        return None
    if proposed >= tolerance:
        smaller = distances[distances < tolerance]
        if not smaller.size:
            return None
        proposed = float(smaller.max())
    return max(proposed, minimum)


def _first(distances: Array, enough: npt.NDArray[Any]) -> float:
    """Return the first distance from which on there is enough; the last if rounding forbids it."""
    return float(distances[int(np.argmax(enough))] if enough.any() else distances[-1])


NO_TOLERANCE = math.inf
"""What the first population is held to."""
