"""Runs as the command line sees them: found in the journals of the environment."""

import datetime
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from modelops.core.errors import NotThereError
from modelops.infra.chain import StackChain
from modelops.providers.base import DATABASE_BINDING, Component
from modelops.runner.journal import Journal
from modelops.runner.progress import RunProgress, RunState, RunSummary

INTERRUPTED = "interrupted"
"""The state of a run that hasn't ended and has no runner."""


def list_runs(chain: StackChain) -> list[RunSummary]:
    """Return every run that the environment's journals know, the newest first.

    Raises:
        NotThereError: if the stack of the databases isn't up.
    """
    found: list[RunSummary] = []
    for url in _database_urls(chain):
        with Journal.open(url) as journal:
            found += journal.runs()
    return sorted(found, key=lambda run: run.created_at, reverse=True)


@contextmanager
def journal_of(chain: StackChain, run_id: str) -> Iterator[Journal]:
    """Open the journal that knows a run.

    Raises:
        NotThereError: if none does, or the stack of the databases isn't up.
    """
    for url in _database_urls(chain):
        with Journal.open(url) as journal:
            if any(run.run_id == run_id for run in journal.runs()):
                yield journal
                return
    known = [run.run_id for run in list_runs(chain)]
    hint = f"There are: {', '.join(known)}" if known else "Start one with: mops adaptive up"
    raise NotThereError(f"There is no run {run_id!r}.", hint=hint)


def choose_run(chain: StackChain, run_id: str | None) -> str:
    """Return the run-id that was named, or that of the newest run.

    Raises:
        NotThereError: if there is no run at all.
    """
    if run_id is not None:
        return run_id
    runs = list_runs(chain)
    if not runs:
        raise NotThereError("There is no run.", hint="Start one with: mops adaptive up")
    return runs[0].run_id


def progress_of(journal: Journal, run_id: str) -> RunProgress:
    """Return how far a run has come by now.

    Raises:
        NotThereError: if the journal doesn't know it.
    """
    progress = journal.progress(run_id, datetime.datetime.now(datetime.UTC))
    if progress is None:
        raise NotThereError(f"There is no run {run_id!r}.", hint="See: mops adaptive list")
    return progress


def object_store_of(chain: StackChain) -> str:
    """Return the URL of the environment's object store.

    Raises:
        NotThereError: if its stack isn't up.
    """
    return chain.bindings(Component.INFRA).env["OBJECT_STORE_URL"]


def is_running(chain: StackChain, run_id: str) -> bool:
    """Return whether a run's runner is there, or has ended by itself."""
    status = chain.look(Component.ADAPTIVE, run_id)
    return bool(status.resources) and not status.dead


def run_states(chain: StackChain, runs: Sequence[RunSummary]) -> dict[str, str]:
    """Return each run's state: the journal's, or INTERRUPTED if its runner is gone."""
    return {run.run_id: _state(chain, run) for run in runs}


def run_table(
    runs: Sequence[RunSummary], states: Mapping[str, str]
) -> tuple[Sequence[str], list[Sequence[str]]]:
    """Return the head and the rows of a table of runs."""
    rows: list[Sequence[str]] = [
        (
            run.run_id,
            run.algorithm,
            states[run.run_id],
            f"{run.completed + run.failed}/{run.n_trials}",
            str(run.failed),
            "" if run.best_loss is None else f"{run.best_loss:.6g}",
        )
        for run in runs
    ]
    return ("run", "algorithm", "state", "trials", "failed", "best loss"), rows


def run_json(run: RunSummary, state: str) -> dict[str, Any]:
    """Return a run as JSON."""

    def plain(value: Any) -> Any:
        if isinstance(value, datetime.datetime):
            return value.isoformat()
        if isinstance(value, Mapping):
            return dict(value)
        return getattr(value, "value", value)

    return {**{name: plain(value) for name, value in vars(run).items()}, "state": state}


def _state(chain: StackChain, run: RunSummary) -> str:
    if run.state is RunState.RUNNING and not is_running(chain, run.run_id):
        return INTERRUPTED
    return run.state.value


def _database_urls(chain: StackChain) -> list[str]:
    env = chain.bindings(Component.INFRA).env
    return [value for name, value in sorted(env.items()) if name.startswith(DATABASE_BINDING)]
