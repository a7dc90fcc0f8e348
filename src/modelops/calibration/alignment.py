"""Alignment: which simulated number belongs to which observed one."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import pyarrow as pa

from modelops.calibration.frames import (
    FloatArray,
    Frame,
    as_table,
    key_text,
    numbers,
    row_keys,
)
from modelops.core.errors import CalibrationError

_OBSERVED = "the observed data"


@dataclass(frozen=True, eq=False)
class Aligned:
    """Observed points and what each replicate simulated for them.

    Attributes:
        observed: shape (points,).
        simulated: shape (replicates, points), every number finite.
    """

    observed: FloatArray
    simulated: FloatArray

    def __post_init__(self) -> None:
        for array in (self.observed, self.simulated):
            array.flags.writeable = False


@runtime_checkable
class AlignmentStrategy(Protocol):
    """Brings observed and simulated data together.

    Guarantees: there is one aligned point for each observed one, no more and no fewer; every
    number is finite; the order of the simulated rows doesn't matter.
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


@dataclass(frozen=True)
class ExactAlignment:
    """Points with equal keys belong together. Simulated points that nobody observed are ignored.

    Keys are equal as in Python: 3 and 3.0 are, 3 and "3" aren't.
    """

    def align(
        self,
        observed: Frame,
        simulated: Frame | Sequence[Frame],
        *,
        on: str | tuple[str, ...] = (),
        value: str | None = None,
    ) -> Aligned:
        """Align by the columns `on`; a lone simulated frame is one replicate."""
        keys = (on,) if isinstance(on, str) else tuple(on)
        if not keys or value is None:
            raise CalibrationError(
                "Exact alignment needs the columns to align on and the value's column.",
                hint='Give both, as in Target(data, on="day", value="prevalence").',
            )
        table = as_table(observed, _OBSERVED)
        points = row_keys(table, keys, _OBSERVED)
        _refuse_duplicates(keys, points, _OBSERVED)
        measured = numbers(table, value, _OBSERVED)
        _refuse_not_finite(measured, [key_text(keys, point) for point in points], value, _OBSERVED)
        rows = [
            self._replicate(frame, f"replicate {index}", keys, value, points)
            for index, frame in enumerate(_replicates(simulated))
        ]
        return Aligned(measured, np.vstack(rows))

    def _replicate(
        self,
        frame: Frame,
        what: str,
        on: tuple[str, ...],
        value: str,
        points: Sequence[tuple[object, ...]],
    ) -> FloatArray:
        table = as_table(frame, what)
        found = row_keys(table, on, what)
        _refuse_duplicates(on, found, what)
        row_of = {key: row for row, key in enumerate(found)}
        missing = [point for point in points if point not in row_of]
        if missing:
            raise CalibrationError(
                f"{what} lacks {len(missing)} of {len(points)} observed points, "
                f"the first is {key_text(on, missing[0])}; {_there(on, found)}.",
                hint="Let the model write these points, or leave them out of the target's data.",
            )
        taken = numbers(table, value, what)[[row_of[point] for point in points]]
        if not np.isfinite(taken).all():
            _refuse_not_finite(taken, [key_text(on, point) for point in points], value, what)
        return taken


@dataclass(frozen=True)
class MetricAlignment:
    """A single number, such as R0: no keys, one observed row, one simulated row per replicate.

    Attributes:
        metric: the column, in both the observed and the simulated data.
    """

    metric: str

    def align(
        self,
        observed: Frame,
        simulated: Frame | Sequence[Frame],
        *,
        on: str | tuple[str, ...] = (),
        value: str | None = None,
    ) -> Aligned:
        """Align the metric; in a lone simulated frame each row is one replicate."""
        if on:
            raise CalibrationError(f"A metric has no keys to align on, but {on!r} was given.")
        if value not in (None, self.metric):
            raise CalibrationError(f"The metric is {self.metric!r}, but the value is {value!r}.")
        measured = _single(as_table(observed, _OBSERVED), self.metric, _OBSERVED)
        rows = [
            _single(table, self.metric, f"replicate {index}")
            for index, table in enumerate(_metric_rows(simulated))
        ]
        return Aligned(measured, np.vstack(rows))


def _metric_rows(simulated: Frame | Sequence[Frame]) -> list[pa.Table]:
    replicates = _replicates(simulated)
    tables = [as_table(frame, f"replicate {i}") for i, frame in enumerate(replicates)]
    if isinstance(simulated, (list, tuple)) or tables[0].num_rows == 0:
        return tables
    return [tables[0].slice(row, 1) for row in range(tables[0].num_rows)]


def _replicates(simulated: Frame | Sequence[Frame]) -> list[Frame]:
    replicates = list(simulated) if isinstance(simulated, (list, tuple)) else [simulated]
    if not replicates:
        raise CalibrationError("There is no replicate to align with the observed data.")
    return replicates


def _single(table: pa.Table, metric: str, what: str) -> FloatArray:
    values = numbers(table, metric, what)
    if len(values) != 1:
        raise CalibrationError(
            f"{what} has {len(values)} rows; the metric {metric!r} needs exactly one."
        )
    _refuse_not_finite(values, ["its only row"], metric, what)
    return values


def _refuse_duplicates(on: Sequence[str], keys: Sequence[tuple[object, ...]], what: str) -> None:
    if len(set(keys)) == len(keys):
        return
    key, count = Counter(keys).most_common(1)[0]
    raise CalibrationError(
        f"{what} has {count} rows for {key_text(on, key)}.",
        hint="Align on more columns, or let there be one row for each key.",
    )


def _refuse_not_finite(values: FloatArray, names: Sequence[str], column: str, what: str) -> None:
    for number, name in zip(values, names, strict=True):
        if not np.isfinite(number):
            raise CalibrationError(f"{what}: column {column!r} is {number} at {name}.")


def _there(on: Sequence[str], keys: Sequence[tuple[object, ...]]) -> str:
    if not keys:
        return "it has no rows"
    return f"its {len(keys)} rows go from {key_text(on, keys[0])} to {key_text(on, keys[-1])}"
