"""Alignment by key columns: what all such alignments share, and the one by equal keys."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from modelops.calibration.alignment import (
    Aligned,
    PreparedAlignment,
    replicates_of,
    stacked,
)
from modelops.calibration.frames import (
    OBSERVED,
    FloatArray,
    Frame,
    as_table,
    copied,
    key_text,
    numbers,
    refuse_not_finite,
    require_column,
    row_keys,
)
from modelops.core.errors import CalibrationError

Key = tuple[object, ...]
IndexArray = npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class MatchedRows:
    """For each observed point the simulated row, or the two between which it lies.

    Attributes:
        lower: shape (points,).
        upper: likewise, the lower one itself where that is at the point; None if no point lies
            between two rows.
        share: how far a point is on its way from the lower row to the upper one, from 0 to 1.
    """

    lower: IndexArray
    upper: IndexArray | None = None
    share: FloatArray | None = None

    def take(self, values: FloatArray) -> FloatArray:
        """Return the number for each point."""
        lower = values[self.lower]
        if self.upper is None or self.share is None:
            return lower
        # What isn't finite is reported with its point.
        with np.errstate(invalid="ignore", over="ignore"):
            return np.asarray(lower + (values[self.upper] - lower) * self.share)


@dataclass(frozen=True, eq=False)
class ObservedPoints:
    """Observed data that were read.

    Attributes:
        on: the key columns.
        value: the column of the numbers.
        table: the data.
        keys: of each row.
        measured: the numbers, shape (points,).
    """

    on: tuple[str, ...]
    value: str
    table: pa.Table
    keys: Sequence[Key]
    measured: FloatArray

    def name(self, row: int) -> str:
        """Return a point's key for people."""
        return key_text(self.on, self.keys[row])


class Matcher(ABC):
    """Finds the simulated rows of the observed points it was made with."""

    @abstractmethod
    def match(self, table: pa.Table, what: str) -> MatchedRows:
        """Return the rows; only the key columns are looked at.

        Raises:
            CalibrationError: if a point has no row, or several.
        """


class KeyAlignment(ABC):
    """An alignment by key columns; a lone simulated frame is one replicate."""

    def align(
        self,
        observed: Frame,
        simulated: Frame | Sequence[Frame],
        *,
        on: str | tuple[str, ...] = (),
        value: str | None = None,
    ) -> Aligned:
        """Align by the columns `on`; see `AlignmentStrategy.align`."""
        return self.prepare(observed, on=on, value=value).align(simulated)

    def prepare(
        self, observed: Frame, *, on: str | tuple[str, ...] = (), value: str | None = None
    ) -> PreparedAlignment:
        """Read the observed data, so that it needn't be read for each evaluation."""
        keys = (on,) if isinstance(on, str) else tuple(on)
        if not keys or value is None:
            raise CalibrationError(
                f"{type(self).__name__} needs the columns to align on and the value's column.",
                hint='Give both, as in Target(data, on="day", value="prevalence").',
            )
        table = as_table(observed, OBSERVED)
        found = row_keys(table, keys, OBSERVED)
        refuse_duplicates(keys, found, OBSERVED)
        points = ObservedPoints(keys, value, table, found, numbers(table, value, OBSERVED))
        refuse_not_finite(points.measured, points.name, value, OBSERVED)
        return _Prepared(points, self._matcher(points))

    @abstractmethod
    def _matcher(self, points: ObservedPoints) -> Matcher:
        """Return what finds the simulated rows of these points."""


@dataclass(frozen=True)
class ExactAlignment(KeyAlignment):
    """Points with equal keys belong together. Simulated points that nobody observed are ignored.

    Keys are equal as in Python: 3 and 3.0 are, 3 and "3" aren't.
    """

    def _matcher(self, points: ObservedPoints) -> Matcher:
        return _EqualKeys(points.on, points.keys)


class _EqualKeys(Matcher):
    def __init__(self, on: tuple[str, ...], points: Sequence[Key]) -> None:
        self._on = on
        self._points = points

    def match(self, table: pa.Table, what: str) -> MatchedRows:
        found = row_keys(table, self._on, what)
        refuse_duplicates(self._on, found, what)
        row_of = {key: row for row, key in enumerate(found)}
        missing = [point for point in self._points if point not in row_of]
        if missing:
            raise CalibrationError(
                f"{lacking(what, missing, len(self._points))}, "
                f"the first is {key_text(self._on, missing[0])}; {rows_there(self._on, found)}.",
                hint="Let the model write these points, or leave them out of the target's data.",
            )
        return MatchedRows(np.array([row_of[point] for point in self._points], dtype=np.intp))


class _Prepared:
    """Observed points that were read, and the rows that were last found for them."""

    def __init__(self, points: ObservedPoints, matcher: Matcher) -> None:
        self._points = points
        self._matcher = matcher
        self._last: tuple[pa.Table, MatchedRows] | None = None

    def align(self, simulated: Frame | Sequence[Frame]) -> Aligned:
        frames = replicates_of(simulated)
        return self.combine(
            [
                self.align_replicate(frame, f"replicate {index}")
                for index, frame in enumerate(frames)
            ]
        )

    def align_replicate(self, simulated: Frame, what: str) -> FloatArray:
        points = self._points
        table = as_table(simulated, what)
        taken = self._rows(table, what).take(numbers(table, points.value, what))
        refuse_not_finite(taken, points.name, points.value, what)
        return taken

    def combine(self, replicates: Sequence[FloatArray]) -> Aligned:
        points = self._points
        return Aligned(points.measured, stacked(replicates, len(points.keys)), points.table)

    def _rows(self, table: pa.Table, what: str) -> MatchedRows:
        # Replicates and trials mostly have the same keys in the same order: they're matched once.
        keys = [require_column(table, name, what) for name in self._points.on]
        if self._last is not None:
            known, rows = self._last
            if all(a.equals(b) for a, b in zip(known.columns, keys, strict=True)):
                return rows
        rows = self._matcher.match(table, what)
        # A copy: what was received with the keys isn't held in memory for them.
        self._last = copied(pa.table(keys, names=list(self._points.on))), rows
        return rows


def refuse_duplicates(on: Sequence[str], keys: Sequence[Key], what: str) -> None:
    """Raise CalibrationError if two rows have the same key."""
    if len(set(keys)) == len(keys):
        return
    key, count = Counter(keys).most_common(1)[0]
    raise CalibrationError(
        f"{what} has {count} rows for {key_text(on, key)}.",
        hint="Align on more columns, or let there be one row for each key.",
    )


def lacking(what: str, missing: Sequence[Key], points: int) -> str:
    """Return the beginning of a sentence on points that are missing."""
    return f"{what} lacks {len(missing)} of {points} observed points"


def rows_there(on: Sequence[str], keys: Sequence[Key]) -> str:
    """Return a sentence on which rows a table has."""
    if not keys:
        return "it has no rows"
    return f"its {len(keys)} rows go from {key_text(on, keys[0])} to {key_text(on, keys[-1])}"
