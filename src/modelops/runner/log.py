"""The runner's log: a line an event, `event key=value …`, for people and for log collectors."""

import json
import logging
import time
from collections.abc import Callable
from dataclasses import fields

from modelops.contracts import TrialStatus
from modelops.core import logs
from modelops.runner.progress import RunState
from modelops.runner.records import TrialOutcome
from modelops.services.profile import Profile

_PROGRESS_SECONDS = 10.0
_TAIL_LINES = 30

_log = logging.getLogger("modelops.runner")


def log_to_stderr(run_id: str) -> None:
    """Send the log to stderr, each line with its time in UTC and the run's id."""
    formatter = logging.Formatter(
        f"%(asctime)sZ %(levelname)s run_id={run_id} %(message)s", "%Y-%m-%dT%H:%M:%S"
    )
    formatter.converter = time.gmtime
    logs.log_to_stderr(formatter, run_id)
    # What is tried again is told by who tries it.
    logging.getLogger("stamina").setLevel(logging.ERROR)


def log_event(event: str, level: int = logging.INFO, /, **values: object) -> None:
    """Write a line of an event and its values; None is left out."""
    said = {key: value for key, value in values.items() if value is not None}
    words = [f"{key}={_word(value)}" for key, value in said.items()]
    extra = {logs.VALUES: {"event": event, **said}}
    _log.log(level, "%s", " ".join([event, *words]), extra=extra)


def log_profile(profile: Profile) -> None:
    """Write a line for each part of the time of a run's simulations, in seconds."""
    for name, part in profile.summary().items():
        values = {item.name: f"{getattr(part, item.name):.4g}" for item in fields(part)}
        log_event("profile", part=name, simulations=profile.count, **values)


class RunLog:
    """Logs a run as its driver tells it: the start, failed trials, progress now and then."""

    def __init__(self, n_trials: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._n_trials = n_trials
        self._clock = clock
        self._last_progress = clock()
        self._ended = 0
        self._failed = 0
        self._best: tuple[float, int] | None = None

    def resumed(self, asked: int, ended: int, restored: int) -> None:
        """Log how much of the run is replayed from the journal."""
        log_event(
            "resume",
            replayed_trials=ended,
            asked_trials=asked,
            restored_trials=restored or None,
            n_trials=self._n_trials,
        )

    def trial_ended(self, trial: int, outcome: TrialOutcome) -> None:
        """Log a failure with the tail of what the model wrote; else progress if it's time."""
        self._ended += 1
        if outcome.status is TrialStatus.COMPLETED:
            if outcome.loss is not None:
                entry = (outcome.loss, trial)
                self._best = entry if self._best is None else min(self._best, entry)
        else:
            self._failed += 1
            log_event(
                "trial_failed",
                logging.WARNING,
                trial=trial,
                reason=outcome.reason,
                message=outcome.message,
            )
            for line in outcome.details.splitlines()[-_TAIL_LINES:]:
                _log.warning("  | %s", line)
        if self._clock() - self._last_progress >= _PROGRESS_SECONDS:
            self._last_progress = self._clock()
            self.progress("progress")

    def turned(self, state: RunState) -> None:
        """Log what became of the run, as somebody wanted it."""
        log_event(str(state), ended_trials=self._ended)

    def wrote(self, seconds: float) -> None:
        """Log nothing: that happens many times a second."""

    def progress(self, event: str) -> None:
        """Log how many trials ended since this runner started, and the best of them."""
        loss, trial = self._best or (None, None)
        log_event(
            event,
            ended_trials=self._ended,
            failed_trials=self._failed,
            n_trials=self._n_trials,
            best_loss=loss,
            best_trial=trial,
        )


def _word(value: object) -> str:
    text = str(value)
    plain = bool(text) and all(char.isprintable() and char not in ' "=' for char in text)
    return text if plain else json.dumps(text, ensure_ascii=False)
