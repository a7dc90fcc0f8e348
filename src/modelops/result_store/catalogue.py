"""What an index knows, in a few arrays: which results are in which segments."""

from array import array
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import numpy.typing as npt

from modelops.result_store.digest_table import DigestTable
from modelops.result_store.segments import Head

GOOD, DAMAGED, GONE = range(3)
"""What became of a segment. A damaged one stays known, so that it isn't read time and again."""


@dataclass
class Additions:
    """Segments that were read, and the results in them, until a catalogue takes them up."""

    task_ids: bytearray = field(default_factory=bytearray)
    segments: "array[int]" = field(default_factory=lambda: array("I"))
    positions: "array[int]" = field(default_factory=lambda: array("I"))
    digests: bytearray = field(default_factory=bytearray)
    states: bytearray = field(default_factory=bytearray)
    runs: list[str] = field(default_factory=list)

    def add(self, run_id: str, digest: bytes, head: Head | None) -> None:
        """Add a segment; without a head it is a damaged one."""
        number = len(self.states)
        self.digests += digest
        self.runs.append(run_id)
        if head is None:
            self.states.append(DAMAGED)
            return
        self.states.append(GOOD)
        self.positions.extend(head.completed)
        for position in head.completed:
            self.task_ids += head.task_id(position)
            self.segments.append(number)


class Catalogue:
    """Rows of results and of segments. All but the states of segments stays as it was made."""

    def __init__(
        self,
        *,
        task_ids: bytes = b"",
        segments: bytes = b"",
        positions: bytes = b"",
        digests: bytes = b"",
        runs: bytes = b"",
        run_ids: tuple[str, ...] = (),
        states: bytes = b"",
    ) -> None:
        """Make one of columns.

        Args:
            task_ids: of the results, 32 bytes each.
            segments: the number of the segment that a result is in, uint32.
            positions: where in that segment, uint32.
            digests: of the segments, 32 bytes each.
            runs: the number of a segment's run, uint32.
            run_ids: of the runs.
            states: of the segments, a byte each.
        """
        self._results = DigestTable(task_ids)
        self._segments = memoryview(segments).cast("I")
        self._positions = memoryview(positions).cast("I")
        self._digests = DigestTable(digests)
        self._runs = memoryview(runs).cast("I")
        self._run_ids = run_ids
        self._states = bytearray(states)

    def __len__(self) -> int:
        """Return how many results there are."""
        return len(self._results)

    @property
    def segments(self) -> int:
        """How many segments are known."""
        return len(self._digests)

    def find(self, task_id: bytes) -> tuple[str, bytes, int] | None:
        """Return the run, the digest and the position of a result that nothing is wrong with.

        Of several it is the one with the least digest, so that whoever knows the same segments
        finds the same.
        """
        best: tuple[bytes, str, int] | None = None
        for row in self._results.rows(task_id):
            segment = self._segments[row]
            if self._states[segment] == GOOD:
                found = (
                    self._digests.digest(segment),
                    self._run_ids[self._runs[segment]],
                    self._positions[row],
                )
                best = found if best is None else min(best, found)
        return None if best is None else (best[1], best[0], best[2])

    def number(self, run_id: str, digest: bytes) -> int | None:
        """Return the number of a segment; None if it isn't known, or was gone."""
        for number in self._digests.rows(digest):
            is_of_run = self._run_ids[self._runs[number]] == run_id
            if is_of_run and self._states[number] != GONE:
                return number
        return None

    def mark(self, run_id: str, digest: bytes, state: int) -> None:
        """Say what became of a segment, if it's known; its results aren't found any more."""
        number = self.number(run_id, digest)
        if number is not None:
            self._states[number] = state

    def changed(self, listed: bytearray, additions: Additions) -> Self:
        """Return a catalogue without what is gone, and with what came.

        Args:
            listed: for each known segment whether it is there.
            additions: segments that aren't known yet.
        """
        if all(listed) and not additions.runs:
            return self
        states = np.frombuffer(bytes(self._states), np.uint8)
        kept = np.frombuffer(listed, np.uint8).astype(np.bool_) & (states != GONE)
        segments = np.frombuffer(self._segments, np.uint32)
        rows = kept[segments] & (states[segments] == GOOD)
        numbers = (np.cumsum(kept) - 1).astype(np.uint32)
        first_new = int(kept.sum())
        new_segments = np.frombuffer(additions.segments, np.uint32) + np.uint32(first_new)
        run_ids = {run_id: number for number, run_id in enumerate(self._run_ids)}
        new_runs = array("I", [run_ids.setdefault(run, len(run_ids)) for run in additions.runs])
        positions = np.frombuffer(self._positions, np.uint32)[rows]
        runs = np.frombuffer(self._runs, np.uint32)[kept]
        return type(self)(
            task_ids=_rows(self._results.digests, rows) + additions.task_ids,
            segments=numbers[segments[rows]].tobytes() + new_segments.tobytes(),
            positions=positions.tobytes() + additions.positions.tobytes(),
            digests=_rows(self._digests.digests, kept) + additions.digests,
            runs=runs.tobytes() + new_runs.tobytes(),
            run_ids=tuple(run_ids),
            states=states[kept].tobytes() + additions.states,
        )


def _rows(digests: bytes, which: npt.NDArray[np.bool_]) -> bytes:
    table = np.frombuffer(digests, np.uint8).reshape(-1, 32)
    return bytes(table[which].tobytes())
