"""Alignment along an ordered column: the nearest simulated row, or between two of them."""

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from modelops.calibration.axes import (
    Positions,
    axis,
    distance,
    in_common,
    is_duration,
    is_number,
)
from modelops.calibration.frames import OBSERVED, FloatArray, key_text, row_keys
from modelops.calibration.key_alignment import (
    IndexArray,
    Key,
    KeyAlignment,
    MatchedRows,
    Matcher,
    ObservedPoints,
    lacking,
    refuse_duplicates,
    rows_there,
)
from modelops.core.errors import CalibrationError

_PLACES = {
    "backward": "at or before it",
    "forward": "at or after it",
    "nearest": "near it",
    "interpolation": "on both sides of it",
}


@dataclass(frozen=True)
class AsOfAlignment(KeyAlignment):
    """Each observed point belongs to the simulated row next to it along one column.

    It is what `pandas.merge_asof` does, but a point without a row is an error. The other columns of
    `on` must be equal, as for `ExactAlignment`. Several points may belong to one simulated row.

    Attributes:
        direction: "backward" takes the last row at or before the point, "forward" the first at or
            after it, "nearest" the nearer of the two, the earlier one if both are as near.
        tolerance: how far away the row may be at the most, that distance included: a number, or a
            timedelta where the column holds dates, times or durations. None: any distance.
        along: the column; it may be left out if there is only one to align on.

    Raises:
        CalibrationError: if the direction isn't known, or the tolerance isn't a distance.
    """

    direction: Literal["backward", "forward", "nearest"] = "backward"
    tolerance: Any = None
    along: str | None = None

    def __post_init__(self) -> None:
        if self.direction not in ("backward", "forward", "nearest"):
            raise CalibrationError(
                f"{self.direction!r} is no direction to align in.",
                hint='Write direction="backward", "forward" or "nearest".',
            )
        if self.tolerance is not None and not _is_distance(self.tolerance):
            raise CalibrationError(
                f"The tolerance is {self.tolerance!r}; it must be a number or a timedelta, from 0."
            )

    def _matcher(self, points: ObservedPoints) -> Matcher:
        line = _Line(points, self.along)
        tolerance = None if self.tolerance is None else distance(self.tolerance, line.axis.kind)
        return _AsOf(line, self.direction, tolerance)


@dataclass(frozen=True)
class InterpolationAlignment(KeyAlignment):
    """Each observed point lies on the straight line between two simulated rows.

    The other columns of `on` must be equal, as for `ExactAlignment`. Where a simulated row is at
    the point itself, its number is taken as it is.

    Attributes:
        along: the column; it may be left out if there is only one to align on.
        edge: what holds for a point before the first row or after the last one: "error", or "hold"
            for the number of that row.

    Raises:
        CalibrationError: if `edge` isn't known.
    """

    along: str | None = None
    edge: Literal["error", "hold"] = "error"

    def __post_init__(self) -> None:
        if self.edge not in ("error", "hold"):
            raise CalibrationError(
                f"The edge is {self.edge!r}, which isn't known.",
                hint='Write edge="error" or edge="hold".',
            )

    def _matcher(self, points: ObservedPoints) -> Matcher:
        return _Interpolation(_Line(points, self.along), self.edge == "hold")


class _Line:
    """The observed points along their column, in groups of equal other keys."""

    def __init__(self, points: ObservedPoints, along: str | None) -> None:
        on = points.on
        if along is None and len(on) > 1:
            raise CalibrationError(
                f"Along which of the columns {', '.join(on)} are the data aligned?",
                hint=f"Say so, as in along={on[-1]!r}; the others must be equal.",
            )
        self.along = on[0] if along is None else along
        if self.along not in on:
            raise CalibrationError(
                f"The data are aligned along {self.along!r}, which isn't among the columns to "
                f"align on: {', '.join(on)}.",
                hint="Add it to the target's `on`.",
            )
        self.on = on
        self.by = tuple(name for name in on if name != self.along)
        self.points = points.keys
        self.axis = axis(points.table, self.along, OBSERVED)
        self.groups = _group_rows(points.table, self.by, OBSERVED)


class _LineMatcher(Matcher):
    """Looks for the rows of each group of points among the simulated rows of the same group."""

    def __init__(self, line: _Line, place: str) -> None:
        self._line = line
        self._place = place

    def match(self, table: pa.Table, what: str) -> MatchedRows:
        line = self._line
        observed, simulated = in_common(line.axis, axis(table, line.along, what), line.along, what)
        groups = _group_rows(table, line.by, what)
        lower = np.full(len(line.points), -1, dtype=np.intp)
        upper = lower.copy()
        share = np.zeros(len(line.points))
        for group, points in line.groups.items():
            rows = groups.get(group)
            if rows is None:
                continue
            rows = rows[np.argsort(simulated[rows], kind="stable")]
            places = simulated[rows]
            if (places[1:] == places[:-1]).any():
                refuse_duplicates(line.on, row_keys(table.take(rows), line.on, what), what)
            below, above, part = self._search(observed[points], places)
            # -1 is "none", also among the rows.
            known = np.append(rows, -1)
            lower[points], upper[points], share[points] = known[below], known[above], part
        missing = [
            line.points[point] for point in np.flatnonzero((lower < 0) | (upper < 0)).tolist()
        ]
        if missing:
            raise CalibrationError(
                f"{lacking(what, missing, len(line.points))}, the first is "
                f"{key_text(line.on, missing[0])}, which has no row {self._place}; "
                f"{rows_there(line.on, row_keys(table, line.on, what))}.",
                hint="Let the model write rows there, or leave the points out of the target's "
                f"data{self._ways_out()}.",
            )
        if (lower == upper).all():
            return MatchedRows(lower)
        return MatchedRows(lower, upper, share)

    @abstractmethod
    def _search(
        self, points: Positions, places: Positions
    ) -> tuple[IndexArray, IndexArray, FloatArray]:
        """Return for each point the places below and above it, -1 for none, and its share.

        Args:
            points: where the points are, in any order.
            places: where the simulated rows are, at least one, each above the one before.
        """

    @abstractmethod
    def _ways_out(self) -> str:
        """Return what else can be done about points without rows."""


class _AsOf(_LineMatcher):
    def __init__(self, line: _Line, direction: str, tolerance: float | None) -> None:
        within = "" if tolerance is None else " within the tolerance"
        super().__init__(line, _PLACES[direction] + within)
        self._direction = direction
        self._tolerance = tolerance

    def _search(
        self, points: Positions, places: Positions
    ) -> tuple[IndexArray, IndexArray, FloatArray]:
        before = np.searchsorted(places, points, side="right") - 1
        after = np.searchsorted(places, points, side="left")
        after[after == len(places)] = -1
        if self._direction == "backward":
            found = before
        elif self._direction == "forward":
            found = after
        else:
            earlier = (after < 0) | (points - places[before] <= places[after] - points)
            found = np.where((before >= 0) & earlier, before, after)
        if self._tolerance is not None:
            found = np.where(np.abs(points - places[found]) <= self._tolerance, found, -1)
        return found, found, np.zeros(len(points))

    def _ways_out(self) -> str:
        return ", or raise the tolerance" if self._tolerance is not None else ""


class _Interpolation(_LineMatcher):
    def __init__(self, line: _Line, hold: bool) -> None:
        super().__init__(line, _PLACES["interpolation"])
        self._hold = hold

    def _search(
        self, points: Positions, places: Positions
    ) -> tuple[IndexArray, IndexArray, FloatArray]:
        lower = np.searchsorted(places, points, side="right") - 1
        upper = np.searchsorted(places, points, side="left")
        if self._hold:
            lower, upper = np.maximum(lower, 0), np.minimum(upper, len(places) - 1)
        else:
            upper[upper == len(places)] = -1
        width = places[upper] - places[lower]
        share = np.zeros(len(points))
        np.divide(points - places[lower], width, out=share, where=width > 0)
        return lower, upper, share

    def _ways_out(self) -> str:
        return ', or hold the first and last rows\' numbers: edge="hold"'


def _group_rows(
    table: pa.Table, by: Sequence[str], what: str
) -> Mapping[Key, npt.NDArray[np.intp]]:
    """Return the rows of each group of equal keys."""
    if not by:
        return {(): np.arange(table.num_rows)} if table.num_rows else {}
    groups: dict[Key, list[int]] = {}
    for row, key in enumerate(row_keys(table, by, what)):
        groups.setdefault(key, []).append(row)
    return {key: np.array(rows, dtype=np.intp) for key, rows in groups.items()}


def _is_distance(tolerance: Any) -> bool:
    if is_number(tolerance):
        return bool(0 <= tolerance < math.inf)
    return is_duration(tolerance) and bool(np.timedelta64(tolerance) >= np.timedelta64(0))
