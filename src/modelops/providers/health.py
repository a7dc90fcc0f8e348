"""How the parts of a stack are, and asking many of them at once without waiting for one."""

import datetime
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from enum import StrEnum

from modelops.contracts.canonical import JSONValue
from modelops.core.background import start


class PartState(StrEnum):
    """How a part is: `dead` is a process that ended, `gone` is what isn't there at all."""

    HEALTHY = "healthy"
    FINISHED = "finished"
    UNHEALTHY = "unhealthy"
    DEAD = "dead"
    GONE = "gone"


@dataclass(frozen=True)
class PartHealth:
    """One part of a stack as it is now. Nothing here is secret.

    Attributes:
        part: its name, the same as that of its log.
        state: how it is.
        reason: why it isn't well; empty if it is.
        detail: what is worth a look when it is well too (`2 of 2 workers`).
        address: where it listens or lies, without a password.
        since: when it was started, if that is known.
    """

    part: str
    state: PartState
    reason: str = ""
    detail: str = ""
    address: str = ""
    since: datetime.datetime | None = None

    @property
    def is_well(self) -> bool:
        """Whether nobody has to do anything."""
        return self.state in (PartState.HEALTHY, PartState.FINISHED)

    def to_json(self) -> dict[str, JSONValue]:
        """Return it as JSON."""
        return {
            "part": self.part,
            "state": self.state.value,
            "healthy": self.is_well,
            "reason": self.reason,
            "detail": self.detail,
            "address": self.address,
            "since": None if self.since is None else self.since.isoformat(),
        }


def check_parts(
    checks: Mapping[str, Callable[[], PartHealth]], seconds: float
) -> tuple[PartHealth, ...]:
    """Run all checks at once and return what they found, in their order.

    A check that takes longer than `seconds` is left behind, and its part is unhealthy.
    """
    deadline = time.monotonic() + seconds
    running = {part: start(check) for part, check in checks.items()}
    return tuple(_found(part, future, deadline, seconds) for part, future in running.items())


def no_answer(seconds: float) -> str:
    """Return the reason of a part that didn't answer in time."""
    return f"doesn't answer within {seconds:g} s"


def _found(part: str, future: Future[PartHealth], deadline: float, seconds: float) -> PartHealth:
    try:
        return future.result(timeout=max(0.0, deadline - time.monotonic()))
    except TimeoutError:
        return PartHealth(part, PartState.UNHEALTHY, no_answer(seconds))
