"""States of algorithms beside the journal, so that a run needn't ask for all its trials again.

A snapshot is worth nothing by itself: it's taken only if the journal holds the very trials and
results that the algorithm had seen when it was made. Without one, or with one that can't be
restored, all calls are made again.
"""

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Self

from modelops.contracts import AdaptiveAlgorithm, HasSnapshot, SnapshotError, TrialStatus
from modelops.runner.records import History

LEAST_SECONDS = 0.5
"""Less than that of an algorithm's own time isn't worth a snapshot."""
_TIMES_ITS_COST = 5.0
"""A snapshot that takes long is made more rarely, so that a run spends little on them."""


@dataclass(frozen=True)
class Snapshot:
    """The state of an algorithm.

    Attributes:
        asked, told: how many trials it had been asked for and told by then.
        digest: of these, `Seen.digest`.
        state: what the algorithm gave.
    """

    asked: int
    told: int
    digest: str
    state: bytes


@dataclass(frozen=True)
class Position:
    """Where a run goes on: so many trials have been asked for and told."""

    asked: int = 0
    told: int = 0


class Seen:
    """What an algorithm has seen: how much, and a digest of it."""

    def __init__(self) -> None:
        self.position = Position()
        self._asked, self._told = hashlib.sha256(), hashlib.sha256()

    @classmethod
    def of(cls, history: History, position: Position) -> Self:
        """Return what a journal says that was seen at a position.

        Raises:
            KeyError: if it holds less.
        """
        seen = cls()
        for number in range(position.asked):
            seen.ask(history.asked[number].parameters.param_id)
        for place in range(position.told):
            number = history.told_as(place)
            outcome = history.ended[number]
            seen.tell(number, outcome.status, outcome.loss)
        return seen

    def ask(self, param_id: str) -> None:
        """Add a trial that was asked for."""
        self.position = replace(self.position, asked=self.position.asked + 1)
        self._asked.update(param_id.encode())

    def tell(self, trial: int | None, status: TrialStatus, loss: float | None) -> None:
        """Add a trial that was told."""
        self.position = replace(self.position, told=self.position.told + 1)
        known = loss if status is TrialStatus.COMPLETED else None
        self._told.update(f"{trial} {status.value} {known!r}\n".encode())

    @property
    def digest(self) -> str:
        """SHA-256 of the digests of what was asked and of what was told, in their order."""
        return hashlib.sha256(self._asked.digest() + self._told.digest()).hexdigest()


class Snapshots:
    """Takes snapshots of an algorithm as its own time goes by, and restores the last one."""

    def __init__(
        self,
        algorithm: AdaptiveAlgorithm,
        *,
        save: Callable[[Snapshot], None],
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Make it.

        Args:
            algorithm: whose; one that has no snapshots has none taken.
            save: keeps the latest one.
            clock: seconds.
        """
        self._algorithm = algorithm if isinstance(algorithm, HasSnapshot) else None
        self._save = save
        self._clock = clock
        self._seen = Seen()
        self._cost = self._spent = 0.0

    @contextmanager
    def watching(self) -> Iterator[Seen]:
        """Watch a call of the algorithm; what it saw by that is to be added to what is given."""
        start = self._clock()
        yield self._seen
        self._spent += self._clock() - start

    @property
    def is_due(self) -> bool:
        """Whether to take one now, if all that the algorithm has seen is written."""
        least = max(LEAST_SECONDS, _TIMES_ITS_COST * self._cost)
        return self._algorithm is not None and self._spent >= least

    def take(self) -> None:
        """Take one and keep it."""
        if self._algorithm is None:
            return
        start = self._clock()
        try:
            state = self._algorithm.snapshot()
        except SnapshotError:
            # It can't be told, now or ever: all calls will be made again.
            self._algorithm = None
            return
        position = self._seen.position
        self._save(Snapshot(position.asked, position.told, self._seen.digest, state))
        self._cost, self._spent = self._clock() - start, 0.0

    def restore(self, snapshot: Snapshot | None, history: History) -> Position:
        """Bring the algorithm, to which nothing was said yet, to where a run goes on.

        Returns:
            What it has seen then: nothing if there's no snapshot that can be used.
        """
        if snapshot is None or self._algorithm is None:
            return Position()
        try:
            seen = Seen.of(history, Position(snapshot.asked, snapshot.told))
            if seen.digest != snapshot.digest:
                return Position()
            self._algorithm.restore(snapshot.state)
        except (KeyError, SnapshotError):
            # The journal holds less than it had seen, or its libraries are others by now.
            return Position()
        self._seen = seen
        return seen.position
