"""Two outcomes of one simulation, compared bit for bit, and where they differ."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from modelops.contracts import FailureReason, SimFailure, SimReturn
from modelops.worker.outputs import from_ipc

_MAX_SHOWN = 200
# Where an object lies in memory, as its repr says: no part of what went wrong.
_ADDRESS = re.compile(r"\b0x[0-9a-f]{6,}")


@dataclass(frozen=True)
class Difference:
    """Where two outcomes of one simulation differ.

    Attributes:
        table, column: the field; without a column it's all of the table, without a table it's
            whether there is a result at all.
        expected, found: both values in words; of a column that has other values, those of `row`.
        row: the first row that differs, from 0; None where more than values differ.
        n_differing, n_rows: how many rows of the column differ, of how many.
        largest_absolute, largest_relative: the largest |a - b| of the column, and the largest
            |a - b| / max(|a|, |b|); None where there is no pair of numbers.
        is_reordered: the column has the same values in another order.
        is_timeout: one of the two took too long.
    """

    expected: str
    found: str
    table: str | None = None
    column: str | None = None
    row: int | None = None
    n_differing: int = 0
    n_rows: int = 0
    largest_absolute: float | None = None
    largest_relative: float | None = None
    is_reordered: bool = False
    is_timeout: bool = False

    def is_within(self, other: "Difference") -> bool:
        """Return whether this is the field that `other` is about, or a part of it."""
        return other.table is None or (
            self.table == other.table and other.column in (None, self.column)
        )

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON; a number that JSON hasn't is written as text."""
        values = asdict(self)
        for name in ("largest_absolute", "largest_relative"):
            if values[name] is not None and not math.isfinite(values[name]):
                values[name] = str(values[name])
        return values


def compare(expected: SimReturn, found: SimReturn) -> list[Difference]:
    """Return where two outcomes of one simulation differ; none if they are the same.

    Tables are the same if they have the same columns of the same types in the same order and
    every value has the same bits: 0.0 and -0.0 differ. A NaN is equal to every NaN. Failures are
    the same if their reasons and messages are; where objects lay in memory doesn't count.
    """
    if expected.failure or found.failure:
        return list(_compare_failures(expected.failure, found.failure))
    if list(expected.tables) != list(found.tables):
        return [Difference(_listed("tables", expected.tables), _listed("tables", found.tables))]
    return [
        difference
        for name, data in expected.tables.items()
        # Equal bytes are equal tables; others may be, as what lies beneath a null is anything.
        if data != found.tables[name]
        for difference in _compare_tables(name, from_ipc(data), from_ipc(found.tables[name]))
    ]


def _compare_failures(
    expected: SimFailure | None, found: SimFailure | None
) -> Iterator[Difference]:
    words = (_failure_words(expected), _failure_words(found))
    if words[0] != words[1]:
        reasons = [failure.reason for failure in (expected, found) if failure]
        yield Difference(words[0], words[1], is_timeout=FailureReason.TIMEOUT in reasons)


def _failure_words(failure: SimFailure | None) -> str:
    if failure is None:
        return "a result"
    return f"a failure ({failure.reason.value}): {_ADDRESS.sub('0x…', failure.message)}"


def _compare_tables(name: str, expected: pa.Table, found: pa.Table) -> Iterator[Difference]:
    if expected.column_names != found.column_names:
        columns = [_listed("columns", table.column_names) for table in (expected, found)]
        yield Difference(columns[0], columns[1], table=name)
        return
    if expected.num_rows != found.num_rows:
        yield Difference(f"{expected.num_rows} rows", f"{found.num_rows} rows", table=name)
        return
    for index, column in enumerate(expected.column_names):
        yield from _compare_columns(name, column, expected.column(index), found.column(index))


def _compare_columns(
    table: str, column: str, expected: pa.ChunkedArray, found: pa.ChunkedArray
) -> Iterator[Difference]:
    if expected.type != found.type:
        types = (f"the type {expected.type}", f"the type {found.type}")
        yield Difference(types[0], types[1], table=table, column=column)
        return
    if getattr(expected.type, "unit", None) == "ns":
        # Python's own times have no nanoseconds.
        expected, found = expected.cast(pa.int64()), found.cast(pa.int64())
    rows = _differing_rows(expected, found)
    if len(rows) == 0:
        return
    pairs = list(zip(expected.take(rows).to_pylist(), found.take(rows).to_pylist(), strict=True))
    absolute, relative = _largest(pairs)
    yield Difference(
        _shown(pairs[0][0]),
        _shown(pairs[0][1]),
        table=table,
        column=column,
        row=int(rows[0]),
        n_differing=len(rows),
        n_rows=len(expected),
        largest_absolute=absolute,
        largest_relative=relative,
        is_reordered=Counter(repr(a) for a, _ in pairs) == Counter(repr(b) for _, b in pairs),
    )


def _differing_rows(expected: pa.ChunkedArray, found: pa.ChunkedArray) -> Sequence[int]:
    if pa.types.is_floating(expected.type):
        nulls = [array.is_null().to_numpy() for array in (expected, found)]
        # fill_null has no kernel for half floats everywhere; a null comes as NaN this way.
        values = [array.to_numpy() for array in (expected, found)]
        bits = [value.view(f"u{value.itemsize}") for value in values]
        both_nan = np.isnan(values[0]) & np.isnan(values[1])
        differ = (nulls[0] != nulls[1]) | ((bits[0] != bits[1]) & ~both_nan)
        rows: list[int] = np.flatnonzero(differ).tolist()
        return rows
    # Arrow's own comparison is quick, but to it nested zeros of both signs are equal.
    if not pa.types.is_nested(expected.type) and expected.equals(found):
        return []
    pairs = zip(expected.to_pylist(), found.to_pylist(), strict=True)
    return [row for row, (a, b) in enumerate(pairs) if not _is_same(a, b)]


def _is_same(a: Any, b: Any) -> bool:
    if isinstance(a, float) and isinstance(b, float):
        both_nan = math.isnan(a) and math.isnan(b)
        return both_nan or (a == b and math.copysign(1, a) == math.copysign(1, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return list(a) == list(b) and all(_is_same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(map(_is_same, a, b))
    return bool(a == b)


def _largest(pairs: Sequence[tuple[Any, Any]]) -> tuple[float | None, float | None]:
    absolute: list[float] = []
    relative: list[float] = []
    for a, b in pairs:
        if not (_is_number(a) and _is_number(b)):
            continue
        distance = abs(a - b)
        absolute.append(float(distance))
        # The distance to an infinity is no smaller than itself.
        scale = max(abs(a), abs(b))
        relative.append(float(distance / scale) if scale and math.isfinite(scale) else 0.0)
        if distance and not math.isfinite(scale):
            relative[-1] = math.inf
    return max(absolute, default=None), max(relative, default=None)


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float, np.floating)):
        return False
    return not math.isnan(value)


def _shown(value: Any) -> str:
    text = repr(value.item() if isinstance(value, np.generic) else value)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"


def _listed(what: str, names: Iterable[str]) -> str:
    return f"the {what} {', '.join(map(repr, names))}"
