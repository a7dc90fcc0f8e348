"""Collecting the outcomes of many simulations for one frame, in a child; see `answers`."""

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from modelops.contracts import SimFailure
from modelops.worker.answers import ARRAYS, FAILED, KIND, Answers
from modelops.worker.frames import Frame, FrameError, Parts, encode_parts
from modelops.worker.outputs import (
    LARGE_BYTES,
    OUTPUT,
    from_ipc,
    is_joinable,
    to_ipc_buffer,
    without_metadata,
)
from modelops.worker.text import clean

_SCALARS = {float: pa.float64(), bool: pa.bool_(), int: pa.int64(), str: pa.string()}
_INT_LIMIT = 2**63
_FULL_TABLES, _FULL_TEXT = 64 * 2**20, 2 * 2**20
_FULL_STREAMS = 1_000
_NUMBER_BYTES = 8
_ARRAYS = frozenset(
    map(np.dtype, ("?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8"))
)
"""Types whose arrays make the same column together as one by one."""
_LONGEST = 1_000
"""Longer text is a table like others, whose size counts."""


class _Rows:
    """Tables of one row each, as columns of plain Python values."""

    def __init__(self, names: Sequence[str], kinds: Sequence[type], shape: int) -> None:
        self.shape = shape
        self._types = [_SCALARS[kind] for kind in kinds]
        self._names = names
        self._columns: list[list[Any]] = [[] for _ in names]
        self._is_checked = int in kinds or str in kinds

    def add(self, values: Mapping[str, Any]) -> bool:
        """Add a row; return False if one of its values has to be looked at more closely."""
        if self._is_checked and not all(_is_plain(value) for value in values.values()):
            return False
        for column, value in zip(self._columns, values.values(), strict=True):
            column.append(value)
        return True

    @property
    def cells(self) -> int:
        return sum(map(len, self._columns))

    def table(self) -> pa.Table:
        columns = zip(self._columns, self._types, strict=True)
        return pa.table([pa.array(*column) for column in columns], names=list(self._names))


class _Arrays:
    """Tables of plain NumPy arrays, which are put together as arrays."""

    def __init__(self, names: Sequence[str], shape: int) -> None:
        self.shape = shape
        self._names = names
        self._columns: list[list[Any]] = [[] for _ in names]

    def add(self, arrays: Iterable[Any]) -> None:
        for column, values in zip(self._columns, arrays, strict=True):
            # The model may write into it again.
            column.append(values.copy())

    def table(self) -> pa.Table:
        return pa.table(
            [pa.array(np.concatenate(column)) for column in self._columns], names=list(self._names)
        )


class _Tables:
    """Tables of the same columns, one after the other."""

    def __init__(self) -> None:
        self._tables: list[pa.Table] = []

    def add(self, table: pa.Table) -> int:
        """Add one and return its position."""
        self._tables.append(table)
        return len(self._tables) - 1

    def own(self, position: int) -> None:
        """Copy one."""
        self._tables[position] = from_ipc(to_ipc_buffer(self._tables[position]))

    def table(self) -> pa.Table:
        return pa.concat_tables(self._tables) if len(self._tables) > 1 else self._tables[0]


class AnswerBuilder:
    """Collects the outcomes of simulations in their order.

    Attributes:
        large: the positions of those whose outputs are large.
    """

    def __init__(self) -> None:
        self.large: list[int] = []
        self._seconds = array("d")
        self._begun = array("d")
        self._shapes = array("i")
        self._rows = array("q")
        self._failures: list[list[Any]] = []
        self._logs: list[list[Any]] = []
        self._streams: list[_Rows | _Arrays | _Tables] = []
        self._of_scalars: dict[tuple[Any, ...], _Rows | None] = {}
        self._of_arrays: dict[tuple[Any, ...], _Arrays | None] = {}
        self._borrowed: list[tuple[_Tables, int]] = []
        self._tables: dict[int, _Tables] = {}
        self._of_schema: dict[tuple[Any, ...], int] = {}
        self._known_shapes: dict[tuple[Any, ...], int] = {}
        self._table_bytes = self._text_bytes = 0

    def __len__(self) -> int:
        return len(self._shapes)

    @property
    def size(self) -> int:
        """About how many bytes it takes."""
        cells = sum(rows.cells for rows in self._of_scalars.values() if rows is not None)
        return (
            self._table_bytes + self._text_bytes + _NUMBER_BYTES * (len(ARRAYS) * len(self) + cells)
        )

    @property
    def is_full(self) -> bool:
        """Whether it's time to send it: a frame has its limits."""
        return (
            self._table_bytes > _FULL_TABLES
            or self._text_bytes > _FULL_TEXT
            # Tables that can't be joined are a payload each.
            or len(self._streams) > _FULL_STREAMS
        )

    def add_scalars(self, value: object) -> bool:
        """Add the tables of a model that returned a dict of scalars.

        Returns:
            Whether it's plain enough for that; otherwise nothing was added.
        """
        if type(value) is not dict:
            return False
        key = (*value, *map(type, value.values()))
        if key not in self._of_scalars:
            self._of_scalars[key] = self._new_rows(value)
        rows = self._of_scalars[key]
        if rows is None or not rows.add(value):
            return False
        self._rows.append(1)
        self._shapes.append(rows.shape)
        return True

    def add_arrays(self, value: object, most: int) -> bool:
        """Add the tables of a model that returned a dict of NumPy arrays of `most` bytes together.

        Returns:
            Whether it's plain enough for that; otherwise nothing was added.
        """
        if type(value) is not dict:
            return False
        arrays = list(value.values())
        if not all(type(each) is np.ndarray for each in arrays):
            return False
        size = sum(each.nbytes for each in arrays)
        # One shape, of one dimension.
        if size > most or [len(shape) for shape in {each.shape for each in arrays}] != [1]:
            return False
        key = (*value, *(each.dtype for each in arrays))
        if key not in self._of_arrays:
            self._of_arrays[key] = self._new_arrays(value)
        found = self._of_arrays[key]
        if found is None:
            return False
        found.add(arrays)
        self._table_bytes += size
        self._rows.append(len(arrays[0]))
        self._shapes.append(found.shape)
        return True

    def add_tables(self, tables: Mapping[str, pa.Table]) -> None:
        """Add the tables of a simulation; their memory may be the model's until `own`."""
        placed = []
        size = 0
        for name, table in tables.items():
            plain = without_metadata(table)
            placed.append((name, self._stream_for(name, plain)))
            size += plain.nbytes
            self._rows.append(plain.num_rows)
        self._table_bytes += size
        if size >= LARGE_BYTES:
            self.large.append(len(self))
        self._shapes.append(self._shape(placed))

    def own(self) -> None:
        """Copy what may be in memory that the model writes to when it's called again."""
        for tables, position in self._borrowed:
            tables.own(position)
        self._borrowed.clear()

    def take_over(self, answers: Answers) -> None:
        """Add the one outcome of another answer.

        Raises:
            FrameError: if it isn't one.
        """
        if len(answers) != 1:
            raise FrameError(f"an answer has {len(answers)} outcomes instead of one")
        self.copy(answers, 0)

    def copy(self, answers: Answers, position: int) -> None:
        """Add the outcome that another answer has at a position; it isn't noted."""
        failure = answers.failure(position)
        if failure is None:
            self.add_tables(answers.tables(position))
        else:
            self.add_failure(failure)

    def add_failure(self, failure: SimFailure) -> None:
        """Add a simulation that failed."""
        said = (clean(failure.message), clean(failure.details))
        self._text_bytes += sum(map(len, said))
        self._failures.append([len(self), failure.reason.value, *said])
        self._shapes.append(FAILED)

    def note(self, begun: float, seconds: float, log: str) -> None:
        """Note of the one that was added last when its call began, how long it took, what it wrote.

        Args:
            begun: seconds after the first began.
            seconds: of the call.
            log: what was written to stdout and stderr.
        """
        self._begun.append(begun)
        self._seconds.append(seconds)
        if log:
            self._text_bytes += len(log)
            self._logs.append([len(self) - 1, clean(log)])

    def encode(self) -> bytes:
        """Return the frame of all.

        Raises:
            FrameError: if it's more than a frame holds.
        """
        return b"".join(self.encode_parts().parts)

    def encode_parts(self) -> Parts:
        """Return what `encode` does, where it lies; nothing may be added afterwards.

        Raises:
            FrameError: as for `encode`.
        """
        header = {
            "kind": KIND,
            "count": len(self),
            "shapes": [[list(place) for place in shape] for shape in self._known_shapes],
            "failures": self._failures,
            "logs": self._logs,
        }
        numbers = (self._seconds, self._begun, self._shapes, self._rows)
        packed = [
            np.asarray(values, kind).tobytes() for values, kind in zip(numbers, ARRAYS, strict=True)
        ]
        streams = [memoryview(to_ipc_buffer(stream.table())) for stream in self._streams]
        return encode_parts(Frame(header, (*packed, *streams)))

    def _new_rows(self, value: Mapping[Any, Any]) -> _Rows | None:
        kinds = [type(item) for item in value.values()]
        if not value or not all(type(name) is str for name in value):
            return None
        if not all(kind in _SCALARS for kind in kinds):
            return None
        shape = self._shape([(OUTPUT, len(self._streams))])
        rows = _Rows(list(value), kinds, shape)
        self._streams.append(rows)
        return rows

    def _new_arrays(self, value: Mapping[Any, Any]) -> _Arrays | None:
        if not value or not all(type(name) is str for name in value):
            return None
        if not all(each.dtype in _ARRAYS for each in value.values()):
            return None
        arrays = _Arrays(list(value), self._shape([(OUTPUT, len(self._streams))]))
        self._streams.append(arrays)
        return arrays

    def _stream_for(self, name: str, table: pa.Table) -> int:
        key = (name, *table.schema.names, *map(str, table.schema.types), *_nullable(table.schema))
        index = self._of_schema.get(key)
        if index is None:
            index = len(self._streams)
            self._tables[index] = _Tables()
            self._streams.append(self._tables[index])
            if is_joinable(table.schema):
                self._of_schema[key] = index
        self._borrowed.append((self._tables[index], self._tables[index].add(table)))
        return index

    def _shape(self, placed: Sequence[tuple[str, int]]) -> int:
        return self._known_shapes.setdefault(tuple(placed), len(self._known_shapes))


def _nullable(schema: pa.Schema) -> Iterator[bool]:
    return (field.nullable for field in schema)


def _is_plain(value: object) -> bool:
    if type(value) is int:
        return -_INT_LIMIT <= value < _INT_LIMIT
    return type(value) is not str or (len(value) <= _LONGEST and value.isascii())
