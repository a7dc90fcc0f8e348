"""What a model may return, made into Arrow tables and the bytes that travel."""

import datetime
import decimal
from collections.abc import Mapping, Sequence
from typing import Any

import narwhals as nw
import numpy as np
import pyarrow as pa

from modelops.core.errors import BundleFileError

_TEXT = (pa.string(), pa.large_string(), pa.binary(), pa.large_binary())
_END_OF_STREAM = b"\xff\xff\xff\xff\0\0\0\0"
"""As the format says: a continuation mark and a message of no length."""
OUTPUT = "output"
"""The name of the table where a model returns just one."""
LARGE_BYTES = 2**20
"""Tables that take as much in memory, those of a simulation together, are large."""

_SCALARS = (
    *(bool, int, float, str, bytes, type(None), np.generic, decimal.Decimal),
    *(datetime.date, datetime.time, datetime.timedelta),
)
_PLAIN = (np.ndarray, list, tuple, range)
_ACCEPTED = (
    "Return a dict of scalars and 1-d arrays of one length, a dict of tables (pandas, polars, "
    "pyarrow or a dict of columns), or one data frame."
)


def to_tables(value: object) -> dict[str, pa.Table]:
    """Return what a model returned as tables, by name, sorted.

    - A dict of scalars and 1-d arrays of one length is the table `output`; scalars beside arrays
      are repeated, scalars alone make one row.
    - A dict of tables stays that: pandas, polars and pyarrow tables or dicts of columns.
    - One data frame is the table `output`. Named levels of a pandas index become columns first.

    Raises:
        BundleFileError: that says what was returned and what is accepted.
    """
    if _is_frame(value):
        return {OUTPUT: _from_frame(value, "the model's data frame")}
    if not isinstance(value, Mapping):
        raise _refusal(f"The model returned {_describe(value)}.")
    if not value:
        raise _refusal("The model returned an empty dict.")
    _check_names(value, "the dict that the model returned")
    tables = [name for name, item in value.items() if isinstance(item, Mapping) or _is_frame(item)]
    if not tables:
        return {OUTPUT: _from_columns(value, "the dict that the model returned")}
    if len(tables) < len(value):
        other = next(name for name in value if name not in tables)
        raise _refusal(
            f"The model returned a dict in which {tables[0]!r} is a table and {other!r} is "
            f"{_describe(value[other])}."
        )
    return {name: _to_table(value[name], f"table {name!r}") for name in sorted(value)}


def is_joinable(schema: pa.Schema) -> bool:
    """Return whether rows of several tables can be kept in one, and be taken out as they were."""
    return all(pa.types.is_primitive(kind) or kind in _TEXT for kind in schema.types)


def rows_of(table: pa.Table, start: int, count: int) -> pa.Table:
    """Return some rows in memory of their own: nothing of their neighbours is in it."""
    return table.take(pa.array(range(start, start + count), pa.int64()))


def without_metadata(table: pa.Table) -> pa.Table:
    """Return a table without the metadata that pandas adds."""
    schema = pa.schema([column.remove_metadata() for column in table.schema])
    return pa.Table.from_arrays(table.columns, schema=schema)


def select_tables(tables: Mapping[str, pa.Table], outputs: Sequence[str]) -> dict[str, pa.Table]:
    """Return the tables that `outputs` names; none named means all.

    Raises:
        BundleFileError: if the model returned no table of such a name.
    """
    missing = [name for name in outputs if name not in tables]
    if missing:
        raise BundleFileError(
            f"The model returned no table {missing[0]!r}; it returned: {', '.join(tables)}.",
            hint="Change the names of the outputs that are asked for, or the model.",
        )
    return {name: table for name, table in tables.items() if not outputs or name in outputs}


def to_ipc(table: pa.Table) -> bytes:
    """Return a table as an Arrow IPC stream of one record batch; equal tables give equal bytes.

    How the columns were chunked and the metadata that pandas adds are left out.
    """
    return to_ipc_buffer(table).to_pybytes()  # type: ignore[no-any-return]


def to_ipc_buffer(table: pa.Table) -> pa.Buffer:
    """Return what `to_ipc` does, where it lies."""
    plain = without_metadata(table).combine_chunks()
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, plain.schema) as writer:
        for batch in plain.to_batches():
            # A table without rows may have an empty batch or none: none is written.
            if batch.num_rows:
                writer.write_batch(batch)
    return sink.getvalue()


class RowCutter:
    """Cuts a table into the streams that `to_ipc` makes of `rows_of` it, in a quarter of its time.

    The schema is written once, and Arrow's writer of streams, whose making costs most, isn't used.
    """

    def __init__(self, table: pa.Table) -> None:
        self._table = without_metadata(table).combine_chunks()
        self._schema = self._table.schema.serialize()
        self._numbers = pa.array(np.arange(table.num_rows, dtype=np.int64))
        batches = self._table.to_batches()
        # The streams of other columns consist of more than the schema and a batch.
        is_plain = len(batches) == 1 and is_joinable(self._table.schema)
        self._batch = batches[0] if is_plain else None

    def to_ipc(self, start: int, count: int) -> bytes:
        """Return some rows as an Arrow IPC stream; nothing of their neighbours is in it."""
        if self._batch is None or not count:
            return to_ipc(rows_of(self._table, start, count))
        # A slice may be written together with its neighbours.
        rows = self._batch.take(self._numbers.slice(start, count))
        return b"".join((self._schema, rows.serialize(), _END_OF_STREAM))


def from_ipc(data: bytes | memoryview) -> pa.Table:
    """Read what `to_ipc` wrote.

    Raises:
        pyarrow.ArrowInvalid: if the bytes aren't an Arrow IPC stream.
    """
    return pa.ipc.open_stream(data).read_all()


def _to_table(value: object, what: str) -> pa.Table:
    if isinstance(value, Mapping):
        _check_names(value, what)
        if not value:
            raise _refusal(f"The model returned {what} without columns.")
        return _from_columns(value, what)
    return _from_frame(value, what)


def _is_frame(value: object) -> bool:
    # What is asked for every column of every simulation is answered at once where that's possible.
    if isinstance(value, (*_PLAIN, *_SCALARS, dict)):
        return False
    return isinstance(value, (pa.Table, pa.RecordBatch)) or nw.dependencies.is_into_dataframe(value)


def _from_frame(value: Any, what: str) -> pa.Table:
    if isinstance(value, pa.RecordBatch):
        return pa.Table.from_batches([value])
    if isinstance(value, pa.Table):
        return value
    if nw.dependencies.is_pandas_dataframe(value):
        _check_names(value.columns, what)
        named = [level for level in value.index.names if level is not None]
        value = value.reset_index(level=named) if named else value
        value = value.reset_index(drop=True)
    try:
        return nw.from_native(value, eager_only=True).to_arrow()
    except (pa.ArrowException, ValueError, TypeError) as error:
        raise _refusal(
            f"{what[:1].upper()}{what[1:]} has a column that Arrow can't hold: {error}."
        ) from error


def _from_columns(columns: Mapping[str, object], what: str) -> pa.Table:
    arrays = {
        name: _to_array(item, f"In {what}, {name!r}")
        for name, item in columns.items()
        if not _is_scalar(item)
    }
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        shown = ", ".join(f"{name!r}: {length}" for name, length in lengths.items())
        raise _refusal(f"In {what}, the arrays have different lengths ({shown}).")
    rows = next(iter(lengths.values()), 1)
    for name, item in columns.items():
        if _is_scalar(item):
            arrays[name] = _repeat(item, rows, f"In {what}, {name!r}")
    return pa.table({name: arrays[name] for name in columns})


def _is_scalar(value: object) -> bool:
    return isinstance(value, _SCALARS) or (isinstance(value, np.ndarray) and value.ndim == 0)


def _repeat(value: Any, rows: int, where: str) -> pa.Array:
    item = value.item() if isinstance(value, (np.generic, np.ndarray)) else value
    try:
        return pa.repeat(pa.scalar(item), rows)
    except (pa.ArrowException, OverflowError) as error:
        raise _refusal(f"{where} is {item!r}, which Arrow can't hold: {error}.") from error


def _to_array(value: Any, where: str) -> pa.Array | pa.ChunkedArray:
    if isinstance(value, (pa.Array, pa.ChunkedArray)):
        return value
    if not isinstance(value, _PLAIN) and nw.dependencies.is_into_series(value):
        return nw.from_native(value, series_only=True).to_arrow()
    if not isinstance(value, _PLAIN) or getattr(value, "ndim", 1) != 1:
        raise _refusal(f"{where} is {_describe(value)}.")
    try:
        array = pa.array(value)
    except (pa.ArrowException, OverflowError, ValueError, TypeError) as error:
        raise _refusal(f"{where} holds what Arrow can't: {error}.") from error
    if pa.types.is_nested(array.type):
        raise _refusal(f"{where} is {_describe(value)} of more than one dimension.")
    return array


def _check_names(names: Any, what: str) -> None:
    for name in names:
        if not isinstance(name, str):
            raise _refusal(f"In {what}, the name {name!r} isn't text.")


def _describe(value: object) -> str:
    kind = f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape} and type {value.dtype}"
    if value is None:
        return "None"
    article = "an" if kind[0] in "aeiou" else "a"
    return f"{article} {kind}"


def _refusal(message: str) -> BundleFileError:
    return BundleFileError(message, hint=_ACCEPTED)
