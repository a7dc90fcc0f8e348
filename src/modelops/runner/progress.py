"""How far a run has come, for people and for the CLI."""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from modelops.contracts import Scalar


class RunState(StrEnum):
    """What a run is doing. A failed run may be started again and goes on."""

    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"


@dataclass(frozen=True)
class RunSummary:
    """A run in one line.

    Attributes:
        completed, failed: how many trials ended so; timeouts count as failed.
        best_loss: the smallest loss of a completed trial, or None.
        created_at: when the run was entered; started_at: when a runner last began to work on it.
        finished_at: when it ended, or None.
        message: why it failed; empty otherwise.
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
