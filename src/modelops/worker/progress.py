"""Which simulation of a chunk a child is at, told through memory that it shares with its parent.

A message for each would cost more than many models do. The memory has four 64-bit numbers: a count
that is odd while the others change, the position, when its call began, in nanoseconds, and how many
processes the kernel had ended by then.
"""

import mmap
import os
import tempfile
from typing import NamedTuple

_BYTES = 32
_COUNT, _POSITION, _SINCE, _KILLS = range(4)
_BEFORE = -1
_TRIES = 1_000
"""Writing takes less than reading so often."""


class At(NamedTuple):
    """Where a child is.

    Attributes:
        position: of the simulation in its chunk; below 0 before the first.
        since: when its call began, in seconds of `time.monotonic`.
        kills: how many processes of its cgroup had been ended by then; see `oom_kills`.
    """

    position: int
    since: float
    kills: int = 0


class Progress:
    """The shared memory, of a file without a name; one writes at a time."""

    def __init__(self, descriptor: int) -> None:
        """Map the file, which `new_file` made."""
        self._memory = mmap.mmap(descriptor, _BYTES)
        # Each number is written and read at once, which struct doesn't promise.
        self._numbers = memoryview(self._memory).cast("q")

    @staticmethod
    def new_file() -> int:
        """Return the descriptor of a new file, to be closed by the caller.

        Raises:
            OSError: if it can't be made.
        """
        with tempfile.TemporaryFile() as file:
            file.truncate(_BYTES)
            return os.dup(file.fileno())

    def at(self, position: int, since: float, kills: int = 0) -> None:
        """Tell that the call of the simulation at `position` begins; see `At`."""
        numbers = self._numbers
        count = numbers[_COUNT]
        numbers[_COUNT] = count + 1
        numbers[_SINCE] = int(since * 1e9)
        numbers[_KILLS] = kills
        # Last: a new position with the time of the one before looks like a call that takes long.
        numbers[_POSITION] = position
        numbers[_COUNT] = count + 2

    def clear(self, kills: int = 0) -> None:
        """Tell that no call has begun yet."""
        self._numbers[_COUNT] = 0
        self.at(_BEFORE, 0.0, kills)

    def read(self) -> At:
        """Return where the child is."""
        numbers = self._numbers
        for _ in range(_TRIES):
            count = numbers[_COUNT]
            position, since, kills = numbers[_POSITION], numbers[_SINCE], numbers[_KILLS]
            if numbers[_COUNT] == count and not count % 2:
                break
        # A child that died while it wrote, or that waits for the processor, leaves the count odd:
        # the position is right by then, and all else with it, or it's the one before, as it may be
        # told.
        return At(position, since / 1e9, kills)

    def close(self) -> None:
        """Free the memory."""
        self._numbers.release()
        self._memory.close()
