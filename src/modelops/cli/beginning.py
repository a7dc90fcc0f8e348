"""Waiting until runs that were brought up have begun: their journals know them then."""

import time
from collections.abc import Callable, Iterable

from modelops.cli.runs import databases, runs_in
from modelops.core.errors import RunFailedError
from modelops.infra.chain import StackChain
from modelops.providers.base import Component
from modelops.providers.health import PartState

# The journal can't tell when it has changed.
_RETRY_SECONDS = 0.5
# How long to wait before it's looked what a runner waits for, which takes an engine.
_FIRST_LOOK_SECONDS, _NEXT_LOOK_SECONDS = 3.0, 10.0
_SECONDS = 600.0
_HEALTH_SECONDS = 10.0
_OVER = frozenset({PartState.DEAD, PartState.GONE})


def await_begun(chain: StackChain, run_ids: Iterable[str], tell: Callable[[str], None]) -> None:
    """Wait until journals know all these runs; what their runners wait for meanwhile is told.

    Where a runner is awaited when it's brought up, they do already.

    Raises:
        RunFailedError: if a runner ended before it began its run, or takes too long to come up.
    """
    waiting = set(run_ids)
    if not waiting:
        return
    began = time.monotonic()
    next_look, told = began + _FIRST_LOOK_SECONDS, set[str]()
    with databases(chain) as urls:
        while waiting := waiting - {run.run_id for run in runs_in(urls)}:
            now = time.monotonic()
            if now >= next_look:
                for run_id in sorted(waiting):
                    _look(chain, run_id, told, tell, is_late=now - began > _SECONDS)
                next_look = time.monotonic() + _NEXT_LOOK_SECONDS
            time.sleep(_RETRY_SECONDS)


def _look(
    chain: StackChain, run_id: str, told: set[str], tell: Callable[[str], None], *, is_late: bool
) -> None:
    _, parts = chain.health(Component.ADAPTIVE, run_id, seconds=_HEALTH_SECONDS)
    for part in parts:
        line = f"{part.part}: {part.reason}"
        if is_late or part.state in _OVER:
            late = f" within {_SECONDS:g} s" if is_late else ""
            raise RunFailedError(
                f"The run {run_id} hasn't begun{late}: {part.reason or part.state.value}",
                hint=f"See: mops adaptive logs --run-id {run_id}\nThen go on with it: mops up",
            )
        if part.reason and line not in told:
            told.add(line)
            tell(line)
