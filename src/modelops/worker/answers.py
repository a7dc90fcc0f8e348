"""What a child answers to many simulations: their outcomes in one frame.

A frame, an Arrow stream and a failure's JSON for each simulation would cost more than many models
do. So the rows of all tables with the same name and columns are one Arrow IPC stream, and a
simulation's tables are made of it again where they are read, byte for byte as they would have been
by themselves. The frame:

    header    kind "answers"; count; shapes: lists of [table, stream]; failures: lists of
              [position, reason, message, details]; logs: lists of [position, text]
    payloads  seconds of each call, float64 | when each began after the first, float64 | shape of
              each, int32, -1 of one that failed | rows of each of its tables, int64 | streams

All numbers are little-endian.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from modelops.contracts import (
    AlignedOutputs,
    FailureReason,
    SimFailure,
    SimReturn,
    SimStatus,
    SimTiming,
)
from modelops.worker.frames import Frame, FrameError, Payload, decode
from modelops.worker.model_log import with_log
from modelops.worker.outputs import LARGE_BYTES, RowCutter, from_ipc, rows_of, to_ipc

KIND = "answers"
FAILED = -1
"""What stands for the shape of one that failed."""
ARRAYS = ("<f8", "<f8", "<i4", "<i8")
"""The types of the first payloads."""


class Place(NamedTuple):
    """Where a table is: some rows of a stream."""

    name: str
    stream: int
    start: int
    rows: int


class LazyTables(Mapping[str, bytes]):
    """The tables of one simulation, made when they are read.

    Attributes:
        answers: where they are.
        places: where there.
    """

    __slots__ = ("answers", "places")

    def __init__(self, answers: "Answers", places: Sequence[Place]) -> None:
        self.answers = answers
        self.places = places

    @property
    def size(self) -> int:
        """About how many bytes they take."""
        return sum(map(self.answers.size, self.places))

    def __getitem__(self, name: str) -> bytes:
        for place in self.places:
            if place.name == name:
                return self.answers.table(place)
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return (place.name for place in self.places)

    def __len__(self) -> int:
        return len(self.places)

    def __repr__(self) -> str:
        return repr(dict(self))


class Answers:
    """The outcomes in one frame of a child."""

    def __init__(self, data: Payload) -> None:
        """Read the frame.

        Raises:
            FrameError: if it isn't one.
        """
        frame = decode(data)
        if frame.header.get("kind") != KIND:
            raise FrameError("this isn't an answer to simulations")
        try:
            self._read(frame)
        except (KeyError, TypeError, ValueError, IndexError, OSError, pa.ArrowException) as error:
            raise FrameError(f"this isn't an answer to simulations: {error!r}") from error

    def __len__(self) -> int:
        return len(self.seconds)

    def failure(self, position: int) -> SimFailure | None:
        """Return why a simulation failed, or None."""
        return self._failures.get(position)

    def log(self, position: int) -> str:
        """Return the last of what a simulation wrote to stdout and stderr."""
        return self._logs.get(position, "") if self._logs else ""

    def outcome(
        self,
        position: int,
        task_id: str,
        timing: SimTiming | None = None,
        *,
        is_aligned: bool = False,
    ) -> SimReturn:
        """Return what became of the task at a position.

        Args:
            position: which one.
            task_id: the task's.
            timing: where its time went, if that is told.
            is_aligned: whether what is there as tables are the points of targets.

        Raises:
            FrameError: if they should be points, and aren't.
        """
        failure = self._failures.get(position) if self._failures else None
        log = self.log(position)
        if is_aligned:
            seconds, points = self.seconds[position], AlignedOutputs(self._points(position))
            completed = SimStatus.COMPLETED
            return SimReturn(
                task_id, completed, seconds=seconds, log=log, timing=timing, aligned=points
            )
        if failure is not None:
            failure = with_log(failure, log)
        return SimReturn(
            task_id,
            SimStatus.COMPLETED if failure is None else SimStatus.FAILED,
            LazyTables(self, self._places[position]) if failure is None else {},
            failure,
            self.seconds[position],
            log,
            timing,
        )

    def tables(self, position: int) -> dict[str, pa.Table]:
        """Return the tables of the task at a position."""
        return {place.name: self._rows(place) for place in self._places[position]}

    def stream(self, number: int) -> tuple[Payload, int]:
        """Return a stream with tables one after the other, and how many rows it has."""
        return self._encoded[number], self._streams[number].num_rows

    def rows_together(self, stream: int, pieces: Sequence[tuple[int, int]]) -> bytes:
        """Return a stream of some rows of another; each piece is a start and a count."""
        ranges = [np.arange(start, start + count) for start, count in pieces]
        return to_ipc(self._streams[stream].take(pa.array(np.concatenate(ranges))))

    def size(self, place: Place) -> int:
        """Return about how many bytes a table takes."""
        encoded, rows = self.stream(place.stream)
        if len(encoded) <= LARGE_BYTES:
            return len(encoded) * place.rows // max(1, rows)
        # Text of one may take a thousand times as much as that of others.
        size: int = self._streams[place.stream].slice(place.start, place.rows).nbytes
        return size

    def table(self, place: Place) -> bytes:
        """Return a table as an Arrow IPC stream."""
        if place.rows == self._streams[place.stream].num_rows:
            # It's all that is there.
            return bytes(self._encoded[place.stream])
        cutter = self._cutters.get(place.stream)
        if cutter is None:
            cutter = self._cutters[place.stream] = RowCutter(self._streams[place.stream])
        return cutter.to_ipc(place.start, place.rows)

    def _points(self, position: int) -> dict[str, bytes]:
        tables = self.tables(position)
        if not tables or any(
            table.schema.types != [pa.float64()] or table.column(0).null_count
            for table in tables.values()
        ):
            raise FrameError("an answer to simulations has no points where it should")
        return {
            name: table.column(0).to_numpy().astype("<f8").tobytes()
            for name, table in tables.items()
        }

    def _rows(self, place: Place) -> pa.Table:
        table = self._streams[place.stream]
        if place.rows == table.num_rows:
            return table
        return rows_of(table, place.start, place.rows)

    def _read(self, frame: Frame) -> None:
        header, payloads = frame.header, frame.received
        seconds, begun, shapes, rows = (
            np.frombuffer(payload, kind).tolist()
            for payload, kind in zip(payloads, ARRAYS, strict=False)
        )
        self._encoded = payloads[len(ARRAYS) :]
        self._cutters: dict[int, RowCutter] = {}
        self._streams = [from_ipc(payload) for payload in self._encoded]
        for table in self._streams:
            # What a model's process made may hold anything, and reading it would end us.
            table.validate(full=True)
        self.seconds: list[float] = seconds
        self.begun: list[float] = begun
        self._failures = {
            int(position): SimFailure(FailureReason(reason), str(message), str(details))
            for position, reason, message, details in header["failures"]
        }
        self._logs = {int(position): str(text) for position, text in header["logs"]}
        counts = {header["count"], len(seconds), len(begun), len(shapes)}
        if len(counts) > 1 or not np.isfinite([*seconds, *begun]).all():
            raise FrameError("an answer to simulations doesn't count them right")
        self._places = self._placed(header["shapes"], shapes, rows)
        failed = {position for position, shape in enumerate(shapes) if shape == FAILED}
        if failed != set(self._failures):
            raise FrameError("an answer to simulations has failures without a reason")

    def _placed(
        self, shapes: Sequence[Sequence[tuple[str, int]]], used: list[int], rows: list[int]
    ) -> list[tuple[Place, ...]]:
        """Return where each simulation's tables are; all rows of all streams are somebody's."""
        known: list[tuple[tuple[str, int], ...]] = [
            tuple((str(name), int(stream)) for name, stream in shape) for shape in shapes
        ]
        at = [0] * len(self._streams)
        left = iter(rows)
        places: list[tuple[Place, ...]] = []
        for shape in used:
            if shape == FAILED:
                places.append(())
                continue
            if not 0 <= shape < len(known):
                raise FrameError("an answer to simulations has an unknown shape")
            own = []
            for name, stream in known[shape]:
                count = next(left, -1)
                if count < 0 or stream < 0:
                    raise FrameError("an answer to simulations lacks rows")
                own.append(Place(name, stream, at[stream], count))
                at[stream] += count
            places.append(tuple(own))
        if next(left, None) is not None or at != [table.num_rows for table in self._streams]:
            raise FrameError("an answer to simulations has rows that are nobody's")
        return places
