"""Alignment: which simulated number belongs to which observed one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import pyarrow as pa

from modelops.calibration.frames import OBSERVED, FloatArray, Frame, numbers
from modelops.core.errors import CalibrationError


@dataclass(frozen=True, eq=False)
class Aligned:
    """Observed points and what each replicate simulated for them.

    Attributes:
        observed: shape (points,).
        simulated: shape (replicates, points), every number finite.
        points: the observed rows in the order of `observed`, for losses that need more of them
            than the value: weights, numbers of trials. None if the alignment gives none.
    """

    observed: FloatArray
    simulated: FloatArray
    points: pa.Table | None = None

    def __post_init__(self) -> None:
        for array in (self.observed, self.simulated):
            array.flags.writeable = False

    def column(self, name: str) -> FloatArray:
        """Return another column of the observed data, shape (points,); a null is NaN.

        Raises:
            CalibrationError: if there is no such column, or it holds anything but numbers.
        """
        if self.points is None:
            raise CalibrationError(
                f"The loss needs the column {name!r} of the observed data, but the alignment gave "
                "it numbers only.",
                hint="Let the alignment set Aligned.points, or give the loss an array.",
            )
        return numbers(self.points, name, OBSERVED)


@runtime_checkable
class AlignmentStrategy(Protocol):
    """Brings observed and simulated data together.

    Guarantees: there is one aligned point for each observed one, no more and no fewer, in the
    order of the observed rows; every number is finite; the order of the simulated rows doesn't
    matter.
    """

    def align(
        self,
        observed: Frame,
        simulated: Frame | Sequence[Frame],
        *,
        on: str | tuple[str, ...] = (),
        value: str | None = None,
    ) -> Aligned:
        """Align a frame of observations with a frame for each replicate.

        Args:
            observed: pandas, polars or pyarrow frame, or a dict of columns.
            simulated: a frame for each replicate, or a lone frame.
            on: the columns whose values identify a point.
            value: the column of the numbers to compare.

        Raises:
            CalibrationError: if a point is missing or there twice, or isn't a finite number.
        """
        ...


class PreparedAlignment(Protocol):
    """An alignment that has read the observed data already."""

    def align(self, simulated: Frame | Sequence[Frame]) -> Aligned:
        """Align with a frame for each replicate, or with a lone frame.

        Raises:
            CalibrationError: as for `AlignmentStrategy.align`.
        """
        ...


@runtime_checkable
class ReplicateAlignment(PreparedAlignment, Protocol):
    """A prepared alignment that can take each replicate by itself, without the others.

    So a replicate can be aligned where it was made, and its numbers alone be sent. All that
    ModelOps brings can; of one that has no such methods whole tables are sent.

    Guarantees: `align` returns what `combine` makes of what `align_replicate` returns for each.
    """

    def align_replicate(self, simulated: Frame, what: str) -> FloatArray:
        """Return what one replicate has for the observed points, shape (points,), all finite.

        Args:
            simulated: its frame.
            what: its name, for the error.

        Raises:
            CalibrationError: as for `AlignmentStrategy.align`.
        """
        ...

    def combine(self, replicates: Sequence[FloatArray]) -> Aligned:
        """Return the aligned points of replicates, at least one, of each `align_replicate`'s array.

        Raises:
            CalibrationError: if one hasn't a number for each point.
        """
        ...


@runtime_checkable
class PreparingAlignment(AlignmentStrategy, Protocol):
    """An alignment that can read the observed data once for many evaluations.

    All that ModelOps brings are; others needn't be: their `align` is called for each evaluation.
    """

    def prepare(
        self, observed: Frame, *, on: str | tuple[str, ...] = (), value: str | None = None
    ) -> PreparedAlignment:
        """Read the observed data; arguments and errors are those of `align`."""
        ...


def stacked(replicates: Sequence[FloatArray], points: int) -> FloatArray:
    """Return the numbers of replicates as one array, shape (replicates, points).

    Raises:
        CalibrationError: if one hasn't a number for each point.
    """
    for index, found in enumerate(replicates):
        if found.shape != (points,):
            raise CalibrationError(
                f"replicate {index} was aligned with {found.size} points, but {points} are "
                "observed: the target isn't the same wherever it's made.",
                hint="Let the target's function depend on the bundle's files alone.",
            )
    return np.array(replicates, dtype=np.float64)


def replicates_of(simulated: Frame | Sequence[Frame]) -> list[Frame]:
    """Return the frames of a list of them, or the lone frame as a list.

    Raises:
        CalibrationError: if there is none.
    """
    replicates = list(simulated) if isinstance(simulated, (list, tuple)) else [simulated]
    if not replicates:
        raise CalibrationError("There is no replicate to align with the observed data.")
    return replicates
