"""Watching a child that runs simulations: what passes a limit is ended by its parent."""

import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from modelops.contracts import FailureReason, SimFailure
from modelops.worker.child_process import ChildProcess
from modelops.worker.model_log import MAX_WRITTEN_BYTES, with_log
from modelops.worker.oom_kills import over_memory
from modelops.worker.progress import At

Late = Callable[[int, bool], None]
"""Told at which position the child is of a chunk that is late, and whether it's very late."""

LATE, VERY_LATE = 2.0, 10.0
"""After so many times its budget a chunk is late."""
_LOOK_SECONDS = 0.1
_CHILDREN_SECONDS = 2.0
"""Looking for the processes that a model started takes milliseconds."""
_KILL_SECONDS = 0.5
"""How long a simulation may go on of which the system ended a process: it may say itself why."""


class BreachError(Exception):
    """A simulation passed a limit; `failure` says which, `position` which one it is."""

    def __init__(self, position: int, failure: SimFailure) -> None:
        super().__init__(failure.message)
        self.position = position
        self.failure = failure


@dataclass(frozen=True)
class RunLimits:
    """What one simulation may take.

    Attributes:
        seconds: of the call.
        memory: bytes that its child and the processes below it may have.
        files: how many files its child may have open.
    """

    seconds: float | None = None
    memory: int | None = None
    files: int | None = None


class RunWatch:
    """Looks at a child while it runs a chunk; to be called as `child_process.Watch`."""

    def __init__(
        self,
        process: ChildProcess,
        limits: RunLimits,
        *,
        budget: float = math.inf,
        on_late: Late | None = None,
    ) -> None:
        """Begin to watch.

        Args:
            process: the child.
            limits: of each simulation.
            budget: of the chunk, in seconds.
            on_late: told when the chunk is late, and once more when it's very late.
        """
        self._process = process
        self._limits = limits
        now = time.monotonic()
        self._on_late = on_late
        self._late = deque([now + LATE * budget, now + VERY_LATE * budget] if on_late else [])
        self._next_children = now + _CHILDREN_SECONDS
        self._hit = (-1, math.inf)

    def __call__(self) -> float | None:
        """Look; return after how many seconds to look again.

        Raises:
            BreachError: if the simulation that runs has passed a limit.
        """
        at = self._process.at
        position, since, _ = at
        if position < 0:
            return _LOOK_SECONDS
        now = time.monotonic()
        ends = since + self._limits.seconds if self._limits.seconds else math.inf
        if now >= ends:
            message = f"it took longer than {self._limits.seconds:g} s"
            raise self._breach(position, FailureReason.TIMEOUT, message)
        self._check_written(position)
        self._check_memory(position, now)
        self._check_kills(at, now)
        if self._on_late and self._late and now >= self._late[0]:
            self._late.popleft()
            self._on_late(position, not self._late)
        return min(ends - now, _LOOK_SECONDS)

    def _check_written(self, position: int) -> None:
        written = self._process.written
        if written > MAX_WRITTEN_BYTES:
            message = f"the model wrote more than {MAX_WRITTEN_BYTES:,} bytes to stdout and stderr"
            raise self._breach(position, FailureReason.OUTPUT, message)

    def _check_memory(self, position: int, now: float) -> None:
        limit = self._limits.memory
        if limit is None:
            return
        with_children = now >= self._next_children
        if with_children:
            self._next_children = now + _CHILDREN_SECONDS
        taken = self._process.memory(with_children=with_children)
        if taken > limit:
            message = f"the model's process had {taken:,} bytes in memory, over {limit:,}"
            raise self._breach(position, FailureReason.MEMORY, message)

    def _check_kills(self, at: At, now: float) -> None:
        if self._limits.memory is None or self._process.kills <= at.kills:
            return
        position, when = self._hit
        if position != at.position:
            self._hit = (at.position, now)
        elif now >= when + _KILL_SECONDS:
            failure = with_log(over_memory(self._limits.memory), self._process.log)
            raise BreachError(position, failure)

    def _breach(self, position: int, reason: FailureReason, message: str) -> BreachError:
        return BreachError(position, with_log(SimFailure(reason, message), self._process.log))
