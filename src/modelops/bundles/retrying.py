"""Trying again what passes by itself: a busy server, a connection that breaks."""

import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import TypeVar

import requests
import stamina

PATIENCE_SECONDS = 20.0
_ATTEMPTS = 4

_Result = TypeVar("_Result")


class PassingError(Exception):
    """What may be otherwise a moment later; the registry may say when (`wait`, in seconds)."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


class NoSuchRangeError(PassingError):
    """The registry has no such part of a blob: it may have the whole."""


def retried(attempt: Callable[[], _Result]) -> _Result:
    """Return what an attempt returns, tried again with growing pauses or those that were asked for.

    It ends after some attempts or seconds; or at once, if it's asked to wait for longer than that.

    Raises:
        PassingError: the last one.
    """
    return stamina.retry(
        on=_backoff, attempts=_ATTEMPTS, timeout=PATIENCE_SECONDS, wait_jitter=0.1
    )(attempt)()


def asked_to_wait(response: requests.Response) -> float | None:
    """Return the seconds of Retry-After (RFC 9110), which may be a date; None without one."""
    text = response.headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdecimal():
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, moment.timestamp() - time.time())


def _backoff(error: Exception) -> bool | float:
    """Say whether to try again or, if the registry said it, in how many seconds."""
    if not isinstance(error, PassingError):
        return False
    if error.wait is None:
        return True
    # Who asks for more than we're willing to wait is told to people.
    return error.wait if error.wait <= PATIENCE_SECONDS else False
