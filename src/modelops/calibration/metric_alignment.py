"""Alignment of a single number, such as R0, which has no keys."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

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
    numbers,
    refuse_not_finite,
)
from modelops.core.errors import CalibrationError

NAME, VALUE = "metric", "value"
"""The columns of a table that has a row for each metric."""

_SHOWN = 10


@dataclass(frozen=True)
class MetricAlignment:
    """A single number, such as R0: no keys, one observed number, one for each replicate.

    A table has it in one of two forms:

    - long: the columns `metric` and `value`, a row for each metric;
    - wide: a column with the metric's name. If there is one, it is taken.

    Simulated is a list with a frame for each replicate, or one frame for all: of the long form, in
    which the column `replicate` tells them apart (without that column it is one replicate), or of
    the wide form, in which each row is a replicate.

    Attributes:
        metric: its name, in both the observed and the simulated data.
        replicate: the column that tells replicates apart in one frame of the long form.
    """

    metric: str
    replicate: str = "replicate"

    def align(
        self,
        observed: Frame,
        simulated: Frame | Sequence[Frame],
        *,
        on: str | tuple[str, ...] = (),
        value: str | None = None,
    ) -> Aligned:
        """Align the metric: one point, and a number for each replicate.

        Raises:
            CalibrationError: that says which metrics there are, if it is missing; how often it is
                there, if that isn't once; or that it isn't a finite number.
        """
        return self.prepare(observed, on=on, value=value).align(simulated)

    def prepare(
        self, observed: Frame, *, on: str | tuple[str, ...] = (), value: str | None = None
    ) -> PreparedAlignment:
        """Read the observed metric, so that it needn't be read for each evaluation."""
        if on:
            raise CalibrationError(f"A metric has no keys to align on, but {on!r} was given.")
        if value not in (None, self.metric):
            raise CalibrationError(f"The metric is {self.metric!r}, but the value is {value!r}.")
        row, column = _row(as_table(observed, OBSERVED), self.metric, OBSERVED)
        return _Prepared(self, row, _number(row, self.metric, column, OBSERVED))


class _Prepared:
    def __init__(self, alignment: MetricAlignment, row: pa.Table, measured: FloatArray) -> None:
        self._alignment = alignment
        self._row = row
        self._measured = measured

    def align(self, simulated: Frame | Sequence[Frame]) -> Aligned:
        return self.combine(
            [self.align_replicate(table, what) for what, table in self._tables(simulated)]
        )

    def align_replicate(self, simulated: Frame, what: str) -> FloatArray:
        metric = self._alignment.metric
        row, column = _row(as_table(simulated, what), metric, what)
        return _number(row, metric, column, what)

    def combine(self, replicates: Sequence[FloatArray]) -> Aligned:
        return Aligned(self._measured, stacked(replicates, 1), self._row)

    def _tables(self, simulated: Frame | Sequence[Frame]) -> Iterator[tuple[str, pa.Table]]:
        frames = replicates_of(simulated)
        whats = [f"replicate {index}" for index in range(len(frames))]
        tables = [as_table(frame, what) for frame, what in zip(frames, whats, strict=True)]
        if isinstance(simulated, (list, tuple)) or tables[0].num_rows == 0:
            yield from zip(whats, tables, strict=True)
        elif _is_wide(tables[0], self._alignment.metric):
            for row in range(tables[0].num_rows):
                yield f"replicate {row}", tables[0].slice(row, 1)
        else:
            yield from self._by_replicate(tables[0])

    def _by_replicate(self, table: pa.Table) -> Iterator[tuple[str, pa.Table]]:
        column = self._alignment.replicate
        if not _is_long(table) or column not in table.column_names:
            yield "replicate 0", table
            return
        rows: dict[object, list[int]] = {}
        for row, replicate in enumerate(table.column(column).to_pylist()):
            rows.setdefault(replicate, []).append(row)
        for replicate, chosen in rows.items():
            yield f"replicate {replicate!r}", table.take(chosen)


def _is_long(table: pa.Table) -> bool:
    return NAME in table.column_names and VALUE in table.column_names


def _is_wide(table: pa.Table, metric: str) -> bool:
    if metric in (NAME, VALUE) and _is_long(table):
        return False
    return metric in table.column_names


def _row(table: pa.Table, metric: str, what: str) -> tuple[pa.Table, str]:
    """Return the metric's only row and the column that holds its number."""
    if _is_wide(table, metric):
        if table.num_rows != 1:
            raise CalibrationError(
                f"{what} has {table.num_rows} rows; the metric {metric!r} needs exactly one."
            )
        return table, metric
    if not _is_long(table):
        there = ", ".join(table.column_names) or "none"
        raise CalibrationError(
            f"{what} has no column {metric!r}; its columns are: {there}.",
            hint=f"Let there be such a column, or the columns {NAME!r} and {VALUE!r} with a row "
            "for each metric.",
        )
    names = table.column(NAME).to_pylist()
    count = names.count(metric)
    if count == 1:
        return table.slice(names.index(metric), 1), VALUE
    if count == 0:
        raise CalibrationError(
            f"{what} has no metric {metric!r}; its metrics are: {_listed(names)}."
        )
    raise CalibrationError(
        f"{what} has the metric {metric!r} {count} times; it needs it exactly once.",
        hint="If these are several replicates, a column must tell them apart: "
        'MetricAlignment(metric, replicate="its name").',
    )


def _number(row: pa.Table, metric: str, column: str, what: str) -> FloatArray:
    values = numbers(row, column, what)
    place = "its only row" if column == metric else f"the metric {metric!r}"
    refuse_not_finite(values, lambda _: place, column, what)
    return values


def _listed(names: Sequence[object]) -> str:
    counts = Counter(str(name) for name in names)
    shown = ", ".join(list(counts)[:_SHOWN])
    left = len(counts) - _SHOWN
    return f"{shown} and {left} more" if left > 0 else shown or "none"
