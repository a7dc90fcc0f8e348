"""Data frames of any library as Arrow tables: the one form that calibration computes with."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import narwhals as nw
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from modelops.core.errors import CalibrationError

Frame = Any
"""A pandas, polars or pyarrow data frame, or a dict of columns."""

FloatArray = npt.NDArray[np.float64]

OBSERVED = "the observed data"
"""What the observed frame is called in messages."""


def as_table(frame: Frame, what: str) -> pa.Table:
    """Return the frame as an Arrow table; `what` names it in the error.

    Raises:
        CalibrationError: if it is no frame, or its columns aren't of equal length.
    """
    if isinstance(frame, pa.Table):
        return frame
    try:
        if isinstance(frame, Mapping):
            return pa.table({str(name): _column(values) for name, values in frame.items()})
        return nw.from_native(frame, eager_only=True).to_arrow()
    except (TypeError, ValueError, pa.ArrowException) as error:
        raise CalibrationError(
            f"{what} can't be read as a table: {error}",
            hint="Give a pandas, polars or pyarrow data frame, or a dict of equally long columns.",
        ) from error


def copied(table: pa.Table) -> pa.Table:
    """Return a table with memory of its own: Arrow shares NumPy's and pandas' where it can."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return pa.ipc.open_stream(sink.getvalue()).read_all()


def require_column(table: pa.Table, name: str, what: str) -> pa.ChunkedArray:
    """Return a column.

    Raises:
        CalibrationError: that names the columns there are, if it isn't among them.
    """
    if name not in table.column_names:
        there = ", ".join(table.column_names) or "none"
        raise CalibrationError(f"{what} has no column {name!r}; its columns are: {there}.")
    return table.column(name)


def numbers(table: pa.Table, name: str, what: str) -> FloatArray:
    """Return a column as float64, shape (rows,); a null becomes NaN.

    Raises:
        CalibrationError: if there is no such column, or it holds anything but numbers.
    """
    column = require_column(table, name, what)
    kind = column.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        # NumPy has no such numbers, or has none for null.
        if pa.types.is_boolean(kind):
            column = column.cast(pa.int8())
        elif not (pa.types.is_decimal(kind) or pa.types.is_null(kind)):
            raise CalibrationError(f"{what}: column {name!r} holds {kind}, not numbers.")
        column = column.cast(pa.float64(), safe=False)
    # An integer above 2**53 is rounded, as everywhere in float64.
    return np.asarray(column.to_numpy(zero_copy_only=False), dtype=np.float64)


def row_keys(table: pa.Table, on: Sequence[str], what: str) -> list[tuple[object, ...]]:
    """Return each row's key: its values in the columns `on`.

    Raises:
        CalibrationError: if one of the columns is missing.
    """
    columns = [require_column(table, name, what).to_pylist() for name in on]
    return list(zip(*columns, strict=True))


def refuse_not_finite(
    values: FloatArray, place: Callable[[int], str], column: str, what: str
) -> None:
    """Raise CalibrationError that names the first row with a NaN or an infinity."""
    finite = np.isfinite(values)
    if not finite.all():
        row = int(np.argmin(finite))
        raise CalibrationError(f"{what}: column {column!r} is {values[row]} at {place(row)}.")


def key_text(on: Sequence[str], key: Sequence[object]) -> str:
    """Return a row's key for people: `day=3, region='north'`."""
    return ", ".join(f"{name}={value!r}" for name, value in zip(on, key, strict=True))


def _column(values: object) -> object:
    """Arrow takes sequences and arrays; a lone number is a column of one."""
    if isinstance(values, (str, bytes)) or not hasattr(values, "__len__"):
        return [values]
    return values
