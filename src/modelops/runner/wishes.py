"""What is wanted of a run, as events for its loop: read now and then, told when it changes."""

import time
from collections.abc import Callable

from modelops.runner.instructions import CancelWanted, Event, PauseWanted, ResumeWanted
from modelops.runner.progress import Wanted

LOOK_SECONDS = 1.0
"""How long nobody may look at what is wanted."""

_EVENTS: dict[Wanted, Callable[[], Event]] = {
    Wanted.PAUSED: PauseWanted,
    Wanted.RUNNING: ResumeWanted,
    Wanted.CANCELLED: CancelWanted,
}


class Wishes:
    """Remembers what was last wanted of a run; `read` asks the journal."""

    def __init__(
        self, read: Callable[[], Wanted], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._read = read
        self._clock = clock
        self._heeded = Wanted.RUNNING
        self._wanted = Wanted.RUNNING
        self._looked_at = float("-inf")

    def note(self, wanted: Wanted) -> None:
        """Take what a transaction found that was made anyway."""
        self._wanted = wanted
        self._looked_at = self._clock()

    def change(self) -> Wanted | None:
        """Return what is wanted now if that has changed; the journal is asked once a second."""
        if self.seconds_left() <= 0:
            self.note(self._read())
        if self._wanted is self._heeded:
            return None
        self._heeded = self._wanted
        return self._wanted

    def seconds_left(self) -> float:
        """Return how long it may be until the next look."""
        return max(0.0, self._looked_at + LOOK_SECONDS - self._clock())


def event_of(wanted: Wanted) -> Event:
    """Return the event for the run's loop."""
    return _EVENTS[wanted]()
