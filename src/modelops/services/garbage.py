"""Rarer garbage collections while a service is open.

A service makes tens of thousands of futures and outcomes a second, and none of them is in a cycle.
Python looks through its young objects after every 700 new ones, which takes a third of the time of
it all. The setting belongs to the process.
"""

import gc
import threading

YOUNG_OBJECTS = 50_000
"""After so many new objects the young ones are looked through."""

_lock = threading.Lock()
_open = 0
_before = gc.get_threshold()


def collect_rarely() -> None:
    """Collect rarely until `collect_as_before` was called as often as this."""
    global _open, _before  # noqa: PLW0603 - the setting is the process's
    with _lock:
        _open += 1
        if _open == 1:
            _before = gc.get_threshold()
            # One that somebody has set so, or to 0 for never, stays.
            if 0 < _before[0] < YOUNG_OBJECTS:
                gc.set_threshold(YOUNG_OBJECTS, *_before[1:])


def collect_as_before() -> None:
    """Undo one `collect_rarely`."""
    global _open  # noqa: PLW0603 - the setting is the process's
    with _lock:
        _open -= 1
        if _open == 0:
            gc.set_threshold(*_before)
