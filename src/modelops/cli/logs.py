"""Printing a run's log, to its end or for as long as the run goes on."""

import sys
import time
from pathlib import Path

from modelops.cli.runs import is_running, journal_of, progress_of
from modelops.core.errors import NotThereError
from modelops.infra.chain import StackChain
from modelops.runner.progress import RunState

# A file can't tell when something was appended to it.
_RETRY_SECONDS = 0.25
_LOOK_AT_RUNNER_EVERY = 40


def print_log(chain: StackChain, run_id: str, *, follow: bool) -> None:
    """Write a run's log to stdout.

    Raises:
        NotThereError: if the run or its log isn't there.
    """
    with journal_of(chain, run_id) as journal:
        paths = chain.provider.log_paths(chain.provider_plan())
        path = paths.get(f"run-{run_id}")
        if path is None:
            raise NotThereError(f"The run {run_id!r} has no log.", hint="See: mops adaptive list")
        with Path(path).open(errors="replace") as log:
            rounds = 0
            while True:
                is_over = progress_of(journal, run_id).state is not RunState.RUNNING
                sys.stdout.write(log.read())
                sys.stdout.flush()
                rounds += 1
                if rounds % _LOOK_AT_RUNNER_EVERY == 0:
                    is_over = is_over or not is_running(chain, run_id)
                if is_over or not follow:
                    return
                time.sleep(_RETRY_SECONDS)
