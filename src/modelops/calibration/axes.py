"""Columns along which rows are ordered: numbers, dates, times, made comparable."""

import datetime
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from modelops.calibration.frames import require_column
from modelops.core.errors import CalibrationError

Positions = npt.NDArray[np.float64] | npt.NDArray[np.int64]

_NUMBER, _TIME, _ZONED, _DURATION = "numbers", "times", "times with a zone", "durations"


@dataclass(frozen=True, eq=False)
class Axis:
    """A column's values.

    Attributes:
        kind: what they are, in words; those of two kinds can't be compared.
        values: shape (rows,): as they are if they're numbers, else nanoseconds (of times those
            since 1970, in UTC if they have a zone).
    """

    kind: str
    values: Positions


def axis(table: pa.Table, name: str, what: str) -> Axis:
    """Return a column of numbers, dates, timestamps or durations.

    Raises:
        CalibrationError: if the column is missing, holds something else, or a value is missing or
            infinite.
    """
    column = require_column(table, name, what)
    kind = _kind(column.type, f"{what}: column {name!r}")
    if column.null_count:
        row = column.is_null().to_pylist().index(True)
        raise CalibrationError(f"{what}: column {name!r} is missing in row {row}.")
    values = _numbers(column) if kind == _NUMBER else _nanoseconds(column, name, what)
    finite = np.isfinite(values)
    if not finite.all():
        row = int(np.argmin(finite))
        raise CalibrationError(f"{what}: column {name!r} is {values[row]} in row {row}.")
    return Axis(kind, values)


def in_common(observed: Axis, simulated: Axis, name: str, what: str) -> tuple[Positions, Positions]:
    """Return the values of both in one type.

    Raises:
        CalibrationError: if they can't be compared.
    """
    if observed.kind != simulated.kind:
        raise CalibrationError(
            f"Column {name!r} holds {observed.kind} in the observed data and {simulated.kind} in "
            f"{what}: they can't be compared.",
            hint="Convert one of them, in targets.py or in the model.",
        )
    if observed.values.dtype == simulated.values.dtype:
        return observed.values, simulated.values
    return observed.values.astype(np.float64), simulated.values.astype(np.float64)


def distance(tolerance: Any, kind: str) -> float | int:
    """Return a tolerance in the unit of an axis' values.

    Raises:
        CalibrationError: if it isn't of that kind.
    """
    if kind == _NUMBER:
        if is_number(tolerance):
            return tolerance  # type: ignore[no-any-return]
        wanted = "a number"
    else:
        if is_duration(tolerance):
            return int(np.timedelta64(tolerance).astype("timedelta64[ns]").astype(np.int64))
        wanted = "a datetime.timedelta"
    raise CalibrationError(
        f"The tolerance is {tolerance!r}, but the observed data are aligned along {kind}.",
        hint=f"Give {wanted}.",
    )


def is_number(value: object) -> bool:
    """Return whether it's a real number; a boolean is none."""
    number = (int, float, np.integer, np.floating)
    return isinstance(value, number) and not isinstance(value, (bool, np.timedelta64))


def is_duration(value: object) -> bool:
    """Return whether it's a length of time, of the standard library, NumPy or pandas."""
    return isinstance(value, (datetime.timedelta, np.timedelta64))


def _kind(kind: pa.DataType, where: str) -> str:
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return _NUMBER
    if pa.types.is_date(kind):
        return _TIME
    if pa.types.is_timestamp(kind):
        return _ZONED if kind.tz else _TIME
    if pa.types.is_duration(kind):
        return _DURATION
    raise CalibrationError(
        f"{where} holds {kind}, which has no distances.",
        hint="It must be numbers, dates or timestamps; text can be read by pandas.to_datetime.",
    )


def _numbers(column: pa.ChunkedArray) -> Positions:
    if pa.types.is_integer(column.type):
        try:
            return np.asarray(column.cast(pa.int64()).to_numpy(), dtype=np.int64)
        except pa.ArrowInvalid:
            # An unsigned one above 2**63.
            return np.asarray(column.to_numpy(), dtype=np.float64)
    return np.asarray(column.cast(pa.float64()).to_numpy(), dtype=np.float64)


def _nanoseconds(column: pa.ChunkedArray, name: str, what: str) -> Positions:
    duration = pa.types.is_duration(column.type)
    try:
        # The zone is only how a timestamp is shown: what is kept is UTC.
        unit = (
            pa.duration("ns") if duration else pa.timestamp("ns", getattr(column.type, "tz", None))
        )
        return np.asarray(column.cast(unit).cast(pa.int64()).to_numpy(), dtype=np.int64)
    except pa.ArrowInvalid as error:
        raise CalibrationError(
            f"{what}: column {name!r} has times that can't be written in nanoseconds: {error}",
            hint="They must lie between the years 1678 and 2262.",
        ) from error
