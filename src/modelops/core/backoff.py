"""How soon something that died is started again."""

FIRST_DELAY = 0.25
"""Seconds before what died soon after its start is started again; doubled each time."""
MAX_DELAY = 30.0
STEADY_SECONDS = 30.0
"""What lived this long is started again without delay."""


class Backoff:
    """The delays of one thing that is started again and again."""

    def __init__(self) -> None:
        self._delay = 0.0

    def after(self, lived: float) -> float:
        """Return how many seconds to wait now that it died, having lived for so many."""
        if lived >= STEADY_SECONDS:
            self._delay = 0.0
        else:
            self._delay = min(max(2 * self._delay, FIRST_DELAY), MAX_DELAY)
        return self._delay
