"""Following a run: a live display on a terminal, plain lines elsewhere."""

import sys
import threading
import time
from collections.abc import Callable, Iterator

from modelops.cli.options import Options
from modelops.cli.output import say, span_words
from modelops.cli.runs import is_running, journal_of, progress_of
from modelops.core.interrupts import interrupt_noted
from modelops.infra.chain import StackChain
from modelops.providers.base import Component
from modelops.runner.database import Patience
from modelops.runner.progress import RunProgress, RunState

# How often the display is drawn anew: the journal can't tell when it has changed.
_REDRAW_SECONDS = 0.25
# How long a run may make no progress before its runner is looked at.
_STALL_SECONDS = 10.0
_PLAIN_LINE_SECONDS = 2.0
# As patient as the runner is with its database.
_PATIENCE_SECONDS = 300.0


def follow(options: Options, chain: StackChain, run_id: str) -> RunProgress:
    """Show a run until it ends or its runner is found dead; return the last that is known of it.

    Ctrl-C stops the following, not the run, and raises KeyboardInterrupt.
    """
    try:
        patience = Patience(
            _PATIENCE_SECONDS,
            on_lost=lambda reason, _seconds: say(
                options, f"\n{reason}\nThis waits for it. Heal it with: mops infra up"
            ),
        )
        with interrupt_noted() as interrupted, journal_of(chain, run_id, patience) as journal:
            changes = _changes(lambda: progress_of(journal, run_id), chain, run_id, interrupted)
            if options.quiet:
                return _last(changes)
            return _live(changes) if sys.stderr.isatty() else _plain(options, changes)
    except KeyboardInterrupt:
        say(options, f"\nThe run goes on. Come back with: {_watch_command(run_id)}")
        raise


def describe(progress: RunProgress) -> str:
    """Return a run's progress in one line: trials, best loss, trials/s, time left."""
    done = progress.completed + progress.failed
    parts = [f"{done}/{progress.n_trials} trials"]
    if progress.failed:
        parts.append(f"{progress.failed} failed")
    if progress.best_loss is not None:
        parts.append(f"best loss {progress.best_loss:.6g}")
    if progress.state is RunState.RUNNING or progress.state.has_ended:
        parts.append(f"{progress.trials_per_second:.1f} trials/s")
    if progress.state is RunState.RUNNING:
        parts.append(f"{_time_left(progress)} left")
    return ", ".join(parts)


def _changes(
    read: Callable[[], RunProgress], chain: StackChain, run_id: str, interrupted: threading.Event
) -> Iterator[RunProgress]:
    """Yield what is known of the run, again and again, until it ends or its runner is dead."""
    last_change, last_ended = time.monotonic(), -1
    while True:
        progress = read()
        yield progress
        if progress.state.has_ended:
            return
        ended = progress.completed + progress.failed
        if ended != last_ended:
            last_change, last_ended = time.monotonic(), ended
        elif time.monotonic() - last_change > _STALL_SECONDS:
            if not is_running(chain, run_id):
                yield read()
                return
            _warn_of_dead_workers(chain)
            last_change = time.monotonic()
        if interrupted.wait(_REDRAW_SECONDS):
            raise KeyboardInterrupt


def _warn_of_dead_workers(chain: StackChain) -> None:
    dead = chain.look(Component.WORKSPACE).dead
    if dead:
        sys.stderr.write(f"\nDead: {', '.join(dead)}. Heal it with: mops workspace up\n")


def _last(changes: Iterator[RunProgress]) -> RunProgress:
    *_, last = changes
    return last


def _plain(options: Options, changes: Iterator[RunProgress]) -> RunProgress:
    shown_at, shown, state, progress = float("-inf"), -1, RunState.RUNNING, None
    for progress in changes:
        ended = progress.completed + progress.failed
        now = time.monotonic()
        has_turned = progress.state is not state
        if has_turned or (ended != shown and now - shown_at > _PLAIN_LINE_SECONDS):
            say(options, f"{progress.run_id}: {_with_state(progress)}")
            shown_at, shown, state = now, ended, progress.state
    if progress is None:
        raise RuntimeError("a run has at least one state")
    return progress


def _live(changes: Iterator[RunProgress]) -> RunProgress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    bar = BarColumn(bar_width=None)
    columns = (TextColumn("{task.description}"), bar, TextColumn("{task.fields[line]}"))
    console = Console(stderr=True)
    with Progress(*columns, console=console, auto_refresh=False, expand=True) as display:
        task, progress = display.add_task("", total=1.0, line=""), None
        for progress in changes:
            display.update(
                task,
                description=progress.run_id,
                total=progress.n_trials,
                completed=progress.completed + progress.failed,
                line=_with_state(progress),
                refresh=True,
            )
    if progress is None:
        raise RuntimeError("a run has at least one state")
    return progress


def _with_state(progress: RunProgress) -> str:
    going_on = progress.state is RunState.RUNNING
    return describe(progress) if going_on else f"{progress.state}, {describe(progress)}"


def _time_left(progress: RunProgress) -> str:
    remaining = progress.n_trials - progress.completed - progress.failed
    if progress.trials_per_second <= 0:
        return "?"
    return span_words(remaining / progress.trials_per_second)


def _watch_command(run_id: str) -> str:
    return f"mops adaptive status --watch --run-id {run_id}"
