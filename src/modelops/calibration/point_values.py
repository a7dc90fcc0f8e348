"""Numbers that belong to observed points: weights, standard deviations, numbers of trials."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from modelops.calibration.alignment import Aligned
from modelops.calibration.axes import is_number
from modelops.calibration.frames import OBSERVED, FloatArray
from modelops.core.errors import CalibrationError

PointValues = float | str | Sequence[float]
"""One number for all points, a column of the observed data, or a number for each observed row."""


@dataclass(frozen=True)
class Domain:
    """Which numbers are allowed.

    Attributes:
        words: what a number must be, as it goes on after "it must be".
        holds: which of an array's numbers are allowed.
    """

    words: str
    holds: Callable[[FloatArray], Any]


POSITIVE = Domain("above 0", lambda values: values > 0)
FINITE_POSITIVE = Domain("above 0, and finite", lambda values: (values > 0) & (values < math.inf))
NOT_NEGATIVE = Domain("0 or more", lambda values: (values >= 0) & (values < math.inf))
COUNT = Domain(
    "a whole number from 0",
    lambda values: (values >= 0) & (values < math.inf) & (values == np.floor(values)),
)
PROBABILITY = Domain("from 0 to 1", lambda values: (values >= 0) & (values <= 1))


def frozen(values: Any, name: str, domain: Domain) -> PointValues:
    """Return what a loss was given as what can't be changed, checked as far as that's possible.

    Raises:
        CalibrationError: if it's neither numbers nor a column's name, or a number isn't allowed.
    """
    if isinstance(values, str):
        return values
    if is_number(values):
        _require(np.array([float(values)]), domain, lambda _: name)
        return float(values)
    try:
        array = np.array(values, dtype=np.float64)
    except (TypeError, ValueError):
        array = np.empty(())
    if array.ndim != 1 or isinstance(values, bool):
        raise CalibrationError(
            f"{name} is {values!r}.",
            hint="Give a number, the name of a column of the observed data, or a list with a "
            "number for each observed row.",
        )
    _require(array, domain, lambda row: f"{name} of point {row}")
    return tuple(array.tolist())


def of_points(values: PointValues, name: str, domain: Domain, aligned: Aligned) -> FloatArray:
    """Return the numbers of the aligned points, shape (points,).

    Raises:
        CalibrationError: if a column is missing or holds a number that isn't allowed, or a list
            isn't as long as there are points.
    """
    points = len(aligned.observed)
    if isinstance(values, str):
        column = aligned.column(values)
        require(column, domain, f"{OBSERVED}, as {name}: column {values!r}")
        return column
    if isinstance(values, float):
        return np.full(points, values)
    array = np.array(values)
    if len(array) != points:
        raise CalibrationError(
            f"{name} has {len(array)} numbers, but {points} points are observed.",
            hint="Give one for each row of the target's data, in their order.",
        )
    return array


def require(values: FloatArray, domain: Domain, what: str) -> None:
    """Raise CalibrationError that names the first point whose number isn't allowed."""
    _require(values, domain, lambda row: f"{what} at point {row}")


def _require(values: FloatArray, domain: Domain, place: Callable[[int], str]) -> None:
    allowed = domain.holds(values)
    if not np.all(allowed):
        row = int(np.argmin(allowed))
        raise CalibrationError(f"{place(row)} is {values[row]:g}; it must be {domain.words}.")
