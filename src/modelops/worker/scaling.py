"""How many replicas a group of workers should have, and which may go. Pure: no Dask, no clock."""

from collections import deque
from collections.abc import Mapping, Sequence
from typing import TypeVar


class Scaling:
    """Follows a group's load: up at once, down to what was needed at most for a while.

    What counts is the most that was needed in the last `idle_seconds`, so that a group isn't ended
    between two batches of tasks, and a light load keeps few workers however it's spread over them.
    """

    def __init__(self, minimum: int, maximum: int, slots: int, idle_seconds: float) -> None:
        """Begin.

        Args:
            minimum: the fewest replicas.
            maximum: the most.
            slots: how many tasks one replica runs at a time.
            idle_seconds: how long a replica isn't needed before it's ended.
        """
        self._minimum = minimum
        self._maximum = maximum
        self._slots = slots
        self._idle_seconds = idle_seconds
        # Times at which so many replicas were needed; numbers fall, so the first is the most.
        self._needed: deque[tuple[float, int]] = deque()

    def target(self, now: float, tasks: int) -> int:
        """Return how many replicas to have.

        Args:
            now: seconds, never less than in the call before.
            tasks: how many tasks run or wait.
        """
        needed = min(max(-(-tasks // self._slots), self._minimum), self._maximum)
        while self._needed and self._needed[-1][1] <= needed:
            self._needed.pop()
        self._needed.append((now, needed))
        while self._needed[0][0] < now - self._idle_seconds:
            self._needed.popleft()
        return self._needed[0][1]


_Replica = TypeVar("_Replica", int, tuple[bool, str])


def replicas_to_end(
    replicas: Mapping[_Replica, Sequence[str]], running: Mapping[str, int], target: int
) -> list[_Replica]:
    """Return the replicas to end, as many as are too many and idle, the last ones first.

    Args:
        replicas: number, or what else they are told apart by → the names of its workers.
        running: worker → how many tasks it has; a worker that isn't there has none.
        target: how many replicas to have.
    """
    idle = [
        number
        for number in sorted(replicas, reverse=True)
        if not any(running.get(name) for name in replicas[number])
    ]
    return idle[: max(len(replicas) - target, 0)]


def free_numbers(taken: set[int], count: int) -> list[int]:
    """Return the lowest numbers, from 0, that new replicas can have."""
    return [number for number in range(len(taken) + count) if number not in taken][:count]
