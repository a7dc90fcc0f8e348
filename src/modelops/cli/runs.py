"""Runs as the command line sees them: found in the journals of the environment."""

import datetime
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from modelops.cli.output import span_words
from modelops.core.errors import NotThereError, UsageError
from modelops.core.secret_files import read_secret
from modelops.infra.chain import StackChain
from modelops.providers.base import (
    DATABASE_BINDING,
    OBJECT_STORE_BINDING,
    Component,
    run_plans,
)
from modelops.runner.database import NO_PATIENCE, Patience
from modelops.runner.journal import Journal
from modelops.runner.progress import RunProgress, RunState, RunSummary

INTERRUPTED = "interrupted"
"""The state of a run that hasn't ended and has no runner."""


def list_runs(chain: StackChain) -> list[RunSummary]:
    """Return every run that the environment's journals know, the newest first.

    Raises:
        NotThereError: if the stack of the databases isn't up.
    """
    with databases(chain) as urls:
        return runs_in(urls)


def runs_in(urls: Sequence[str]) -> list[RunSummary]:
    """Return every run that the journals of some databases know, the newest first."""
    found: list[RunSummary] = []
    for url in urls:
        with Journal.open(url) as journal:
            found += journal.runs()
    return sorted(found, key=lambda run: run.created_at, reverse=True)


@contextmanager
def journal_of(
    chain: StackChain, run_id: str, patience: Patience = NO_PATIENCE
) -> Iterator[Journal]:
    """Open the journal that knows a run; `patience` is for a connection that breaks later.

    Raises:
        NotThereError: if none does, or the stack of the databases isn't up.
    """
    with databases(chain) as urls:
        for url in urls:
            with Journal.open(url, patience) as journal:
                if any(run.run_id == run_id for run in journal.runs()):
                    yield journal
                    return
        known = [run.run_id for run in runs_in(urls)]
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


def choose_going_on(chain: StackChain, run_id: str | None, *favoured: RunState) -> str:
    """Return the run-id that was named, or that of the only run that hasn't ended.

    If there are several, the only one in a favoured state is meant; if all have ended, the newest.

    Raises:
        NotThereError: if there is no run at all.
        UsageError: if it isn't clear which run is meant.
    """
    if run_id is not None:
        return run_id
    runs = [run for run in list_runs(chain) if not run.state.has_ended]
    for chosen in (runs, [run for run in runs if run.state in favoured]):
        if len(chosen) == 1:
            return chosen[0].run_id
    if not runs:
        return choose_run(chain, None)
    named = " | ".join(run.run_id for run in runs)
    raise UsageError("Several runs haven't ended.", hint=f"Name one: --run-id {named}")


def refuse_other_plan(chain: StackChain) -> None:
    """Check that no run-id of the chain's pinned runs belongs to a run of another plan.

    Raises:
        JournalError: if one does; bringing it up would end that run.
    """
    with databases(chain) as urls:
        for url in urls:
            with Journal.open(url) as journal:
                for run_id, plan in run_plans(chain.plan):
                    journal.check_plan(run_id, plan)


def progress_of(journal: Journal, run_id: str) -> RunProgress:
    """Return how far a run has come by now.

    Raises:
        NotThereError: if the journal doesn't know it.
    """
    progress = journal.progress(run_id, datetime.datetime.now(datetime.UTC))
    if progress is None:
        raise NotThereError(f"There is no run {run_id!r}.", hint="See: mops adaptive list")
    return progress


@contextmanager
def object_store_of(chain: StackChain) -> Iterator[str]:
    """Give a block the URL of the environment's object store; an `http` one can only be read.

    Raises:
        NotThereError: if its stack isn't up.
    """
    with chain.reach(Component.INFRA, OBJECT_STORE_BINDING) as bindings:
        yield bindings.env[OBJECT_STORE_BINDING]


def is_running(chain: StackChain, run_id: str) -> bool:
    """Return whether a run's runner is there, or has ended by itself."""
    status = chain.look(Component.ADAPTIVE, run_id)
    return bool(status.resources) and not status.dead


def run_states(chain: StackChain, runs: Sequence[RunSummary]) -> dict[str, str]:
    """Return each run's state: the journal's, or INTERRUPTED if it should go on and has no runner.

    A run that is to be paused and has no runner is paused: nothing of it is under way.
    """
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
            f"{run.created_at.astimezone():%Y-%m-%d %H:%M}",
            span_words(_seconds(run)),
        )
        for run in runs
    ]
    head = ("run", "algorithm", "state", "trials", "failed", "best loss", "started", "duration")
    return head, rows


def run_json(run: RunSummary, state: str) -> dict[str, Any]:
    """Return a run as JSON."""

    def plain(value: Any) -> Any:
        if isinstance(value, datetime.datetime):
            return value.isoformat()
        if isinstance(value, Mapping):
            return dict(value)
        return getattr(value, "value", value)

    known = {name: plain(value) for name, value in vars(run).items()}
    return {**known, "state": state, "seconds": _seconds(run)}


def _state(chain: StackChain, run: RunSummary) -> str:
    lacking = {RunState.RUNNING: INTERRUPTED, RunState.PAUSING: RunState.PAUSED.value}
    if run.state in lacking and not is_running(chain, run.run_id):
        return lacking[run.state]
    return run.state.value


def _seconds(run: RunSummary) -> float:
    """How long the run took from its first start to its end or to this moment, pauses included."""
    end = run.finished_at or datetime.datetime.now(datetime.UTC)
    return (end - run.created_at).total_seconds()


@contextmanager
def databases(chain: StackChain) -> Iterator[list[str]]:
    """Give a block the URLs of the environment's databases, as this machine reaches them.

    Raises:
        NotThereError: if their stack isn't up.
    """
    with chain.reach(Component.INFRA, DATABASE_BINDING) as bindings:
        secrets = {name: read_secret(name, ref) for name, ref in bindings.secrets.items()}
        yield [url for _, url in sorted({**bindings.env, **secrets}.items())]
