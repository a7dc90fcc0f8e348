"""Tables of many simulations for one message: those that came together go together.

What the simulations of a chunk returned lies in the same streams (`answers`). To make a stream of
each table, and to read it again, takes longer than to evaluate a small one.
"""

from collections.abc import Sequence
from itertools import accumulate

from modelops.contracts import AlignedOutputs, Outputs
from modelops.worker.answers import Answers, LazyTables
from modelops.worker.frames import Payload
from modelops.worker.messages import Replicate, Rows

_WHOLE_BYTES = 2**20
"""How long a stream may be that is sent with rows that nobody asked for, as many as others."""


def shared(
    trials: Sequence[Sequence[Outputs]],
) -> tuple[tuple[tuple[Replicate, ...], ...], tuple[Payload, ...]]:
    """Return trials whose tables are rows of streams, and the streams.

    Args:
        trials: of each what its simulations gave.
    """
    streams = _Streams()
    for outputs in (each for trial in trials for each in trial):
        if isinstance(outputs, LazyTables):
            streams.want(outputs)
    return (
        tuple(tuple(streams.rows_of(outputs) for outputs in trial) for trial in trials),
        tuple(streams.payloads),
    )


class _Streams:
    """Streams with the rows that are wanted of others.

    Attributes:
        payloads: the streams, as far as something of them was asked for.
    """

    def __init__(self) -> None:
        self.payloads: list[Payload] = []
        self._wanted: dict[tuple[int, int], dict[tuple[int, int], None]] = {}
        self._places: dict[tuple[int, int, int, int], Rows] = {}

    def want(self, tables: LazyTables) -> None:
        """Note which rows are asked for later."""
        for place in tables.places:
            pieces = self._wanted.setdefault((id(tables.answers), place.stream), {})
            pieces[place.start, place.rows] = None

    def rows_of(self, outputs: Outputs) -> Replicate:
        """Return where a simulation's tables are."""
        if isinstance(outputs, AlignedOutputs):
            return outputs
        if isinstance(outputs, LazyTables):
            answers = outputs.answers
            return {
                place.name: self._rows(answers, place.stream, place.start, place.rows)
                for place in outputs.places
            }
        return {name: Rows(self._add(data)) for name, data in outputs.items()}

    def _rows(self, answers: Answers, stream: int, start: int, count: int) -> Rows:
        key = (id(answers), stream, start, count)
        if key not in self._places:
            self._take(answers, stream)
        return self._places[key]

    def _take(self, answers: Answers, stream: int) -> None:
        pieces = list(self._wanted[id(answers), stream])
        wanted = sum(count for _, count in pieces)
        whole, there = answers.stream(stream)
        is_short = len(whole) <= _WHOLE_BYTES and 2 * wanted >= there
        starts = [start for start, _ in pieces]
        if wanted == there or is_short:
            number = self._add(whole)
        else:
            number = self._add(answers.rows_together(stream, pieces))
            starts = [0, *accumulate(count for _, count in pieces)]
        for (start, count), begins in zip(pieces, starts, strict=False):
            self._places[id(answers), stream, start, count] = Rows(number, begins, count)

    def _add(self, data: Payload) -> int:
        self.payloads.append(data)
        return len(self.payloads) - 1
