"""How far a run has come and what is wanted of it, for people and for the CLI."""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from modelops.contracts import Scalar


class RunState(StrEnum):
    """What a run is doing.

    PAUSING and CANCELLING are states that a run is seen in, not states that its runner notes: the
    runner has still to do what is wanted.
    """

    RUNNING = "running"
    PAUSING = "pausing"
    PAUSED = "paused"
    CANCELLING = "cancelling"
    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def has_ended(self) -> bool:
        """Whether nothing more happens in the run by itself."""
        return self in (RunState.FINISHED, RunState.FAILED, RunState.CANCELLED)


class Wanted(StrEnum):
    """What somebody wants of a run."""

    RUNNING = "running"
    PAUSED = "paused"
    CANCELLED = "cancelled"


@dataclass(frozen=True)
class RunSummary:
    """A run in one line.

    Attributes:
        completed, failed: how many trials ended so; timeouts count as failed.
        best_loss: the smallest loss of a completed trial, or None.
        created_at: when the run was entered; started_at: when a runner last began to work on it,
            or it was last resumed.
        finished_at: when it ended, or None.
        message: why it failed; empty otherwise.
        is_settled: whether it has ended in a way that another start wouldn't change: a failed run
            that isn't settled goes on from its journal.
        wanted: what is wanted of it; wanted_at, wanted_by: since when and by whom, None unless
            somebody said so.
    """

    run_id: str
    algorithm: str
    state: RunState
    n_trials: int
    asked: int
    completed: int
    failed: int
    best_loss: float | None
    created_at: datetime.datetime
    started_at: datetime.datetime
    finished_at: datetime.datetime | None
    message: str
    is_settled: bool
    wanted: Wanted
    wanted_at: datetime.datetime | None
    wanted_by: str | None


@dataclass(frozen=True)
class RunProgress(RunSummary):
    """A run in full.

    Attributes:
        best_trial, best_params: the trial of the smallest loss (the first of equals), or None.
        trials_per_second: trials that ended since `started_at`, in each second of that time.
    """

    best_trial: int | None
    best_params: Mapping[str, Scalar] | None
    trials_per_second: float


def seen_state(noted: RunState, wanted: Wanted) -> RunState:
    """Return the state that a run is in, from what its runner noted and what is wanted of it."""
    if noted.has_ended:
        return noted
    if wanted is Wanted.CANCELLED:
        return RunState.CANCELLING
    if wanted is Wanted.PAUSED and noted is RunState.RUNNING:
        return RunState.PAUSING
    return noted


def refusal(state: RunState, wanted: Wanted, *, is_settled: bool) -> str | None:
    """Return why what is wanted of a run can't be had in its state, or None if it can.

    What was cancelled, or failed for a cause outside the run, may be wanted to run again. Wanting
    the same twice is no fault.
    """
    match state:
        case RunState.FINISHED:
            return "has finished"
        case RunState.FAILED if is_settled or wanted is Wanted.PAUSED:
            return "has failed"
        case RunState.CANCELLED if wanted is Wanted.PAUSED:
            return "was cancelled"
        case RunState.CANCELLING if wanted is not Wanted.CANCELLED:
            return "is being cancelled"
    return None
