"""`mops adaptive`: start runs, follow them, read their results."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from modelops.cli.compare import compare
from modelops.cli.log_options import Tail
from modelops.cli.options import Options
from modelops.cli.output import count_words, print_data, print_json, print_table, say
from modelops.cli.pausing import cancel, pause, resume
from modelops.cli.replay import replay
from modelops.cli.report import report
from modelops.cli.rescore import rescore
from modelops.cli.run_results import RunId, print_profile, prune, results, shown
from modelops.cli.selftest import selftest
from modelops.core.errors import NotThereError, UsageError

if TYPE_CHECKING:
    from modelops.infra.chain import StackChain
    from modelops.runner.progress import RunProgress

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Runs: start, follow, pause, cancel, read results.",
)


@app.command()
def up(
    ctx: typer.Context,
    algorithm: Annotated[
        str | None, typer.Argument(help="Which algorithm, if there are several.")
    ] = None,
    run_id: Annotated[
        str | None, typer.Option("--run-id", help="A name of your own for the run.", metavar="ID")
    ] = None,
    detach: Annotated[
        bool, typer.Option("--detach", help="Return when the runner is ready.")
    ] = False,
    profile: Annotated[
        bool, typer.Option("--profile", help="Tell where the time of its simulations goes.")
    ] = False,
) -> None:
    """Start a run, or go on with it, and follow it; Ctrl-C detaches.

    The run-id is printed first. A run that has ended isn't started again, but for one that failed
    for a cause outside it.
    """
    from modelops.cli import session
    from modelops.cli.advice import other_runs
    from modelops.cli.beginning import await_begun
    from modelops.cli.runs import refuse_other_plan
    from modelops.providers.base import REGISTRY_BINDINGS, Component

    options: Options = ctx.obj
    chain = session.for_run(session.open_chain(options, operates=True), algorithm, run_id)
    if profile:
        chain = session.profiled(chain)
    name = chain.plan.algorithms[0].name
    with chain.reach(Component.REGISTRY, REGISTRY_BINDINGS) as registry:
        if chain.plan.algorithms[0].bundle.tag is not None:
            chain = session.resolved(chain, options, registry)
        # The digest follows from the content, so the run has its name before anything is pushed.
        chosen = session.pinned_by_content(chain).run_stack(name).run_id or ""
        if not options.json:
            print_data(chosen)
        chain = session.pushed(chain, options, registry)
    session.refuse_dead_workspace(chain)
    refuse_other_plan(chain)
    result = chain.up_run(name)
    say(options, f"{result.name}: {count_words(result.changes)}")
    await_begun(chain, [chosen], lambda line: say(options, f"  {line}"))
    for line in other_runs(chain, {chosen}):
        say(options, line)
    if not detach:
        code = _follow_to_exit(options, chain, chosen)
        if profile and not options.json:
            print_profile(options, chain, chosen)
        sys.exit(code)
    if options.json:
        print_json({"run_id": chosen, "changes": dict(result.changes)})
    _refuse_ended_badly(chain, chosen)


@app.command("list")
def list_(ctx: typer.Context) -> None:
    """List the environment's runs, the newest first."""
    from modelops.cli.runs import list_runs, run_json, run_states, run_table
    from modelops.cli.session import open_chain

    options: Options = ctx.obj
    chain = open_chain(options)
    runs = list_runs(chain)
    states = run_states(chain, runs)
    if options.json:
        print_json([run_json(run, states[run.run_id]) for run in runs])
    else:
        print_table(*run_table(runs, states))


@app.command()
def status(
    ctx: typer.Context,
    run_id: RunId = None,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Follow the run to its end.")
    ] = False,
) -> None:
    """Show how far a run has come; with --watch exit as the run does: 0 finished, 1 failed."""
    from modelops.cli.progress import describe
    from modelops.cli.runs import choose_run, journal_of, progress_of, run_json, run_states
    from modelops.cli.session import open_chain
    from modelops.runner.progress import RunState, Wanted

    options: Options = ctx.obj
    chain = open_chain(options)
    chosen = choose_run(chain, run_id)
    if watch:
        sys.exit(_follow_to_exit(options, chain, chosen))
    with journal_of(chain, chosen) as journal:
        progress = progress_of(journal, chosen)
    state = run_states(chain, [progress])[chosen]
    if options.json:
        print_json(run_json(progress, state))
        return
    print_data(f"{chosen}: {state}, {describe(progress)}")
    is_over = progress.state in (RunState.FINISHED, RunState.FAILED)
    if progress.wanted_at and progress.wanted is not Wanted.RUNNING and not is_over:
        since = f"{progress.wanted_at.astimezone():%Y-%m-%d %H:%M}"
        print_data(f"{progress.wanted_by} wanted it {progress.wanted}, {since}")
    if progress.message:
        print_data(progress.message)
    if progress.best_params is not None:
        print_data(f"best trial {progress.best_trial}: {_parameters(progress)}")


@app.command()
def logs(
    ctx: typer.Context,
    run_id: RunId = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on until the run ends.")
    ] = False,
    tail: Tail = None,
) -> None:
    """Print what the run's runner wrote."""
    from modelops.cli.logs import print_log
    from modelops.cli.runs import choose_run
    from modelops.cli.session import open_chain

    chain = open_chain(ctx.obj)
    print_log(ctx.obj, chain, choose_run(chain, run_id), follow=follow, tail=tail)


app.command()(pause)
app.command()(resume)
app.command()(cancel)
app.command()(results)
app.command()(report)
app.command()(compare)
app.command()(replay)
app.command()(rescore)
app.command()(selftest)
app.command()(prune)


@app.command()
def down(
    ctx: typer.Context,
    run_id: Annotated[
        str | None, typer.Option("--run-id", help="The run, if several are up.", metavar="ID")
    ] = None,
) -> None:
    """Stop a run and take its stack down; its journal and results stay."""
    from modelops.cli.session import open_chain
    from modelops.providers.base import Component

    options: Options = ctx.obj
    chain = open_chain(options, operates=True)
    chosen = run_id if run_id is not None else _only(chain.run_ids())
    changes = chain.down(Component.ADAPTIVE, chosen)
    if options.json:
        print_json({"run_id": chosen, "changes": dict(changes)})
    else:
        say(options, f"{chosen}: {count_words(changes)}")


def _follow_to_exit(options: Options, chain: "StackChain", run_id: str) -> int:
    from modelops.cli.advice import ended_badly
    from modelops.cli.progress import follow
    from modelops.cli.runs import run_json, run_states
    from modelops.runner.progress import RunState

    progress = follow(options, chain, run_id)
    if options.json:
        print_json(run_json(progress, run_states(chain, [progress])[run_id]))
    if progress.state is RunState.FINISHED:
        if progress.message:
            say(options, progress.message)
        say(options, f"Finished: loss {progress.best_loss:.6g} at {_parameters(progress)}")
        return 0
    raise ended_badly(progress)


def _refuse_ended_badly(chain: "StackChain", run_id: str) -> None:
    """Raise what `up` has to say of a run that it doesn't start again."""
    from modelops.cli.advice import ended_badly
    from modelops.cli.runs import journal_of, progress_of
    from modelops.runner.progress import RunState

    with journal_of(chain, run_id) as journal:
        progress = progress_of(journal, run_id)
    if progress.state in (RunState.FAILED, RunState.CANCELLED):
        raise ended_badly(progress)


def _only(run_ids: Sequence[str]) -> str:
    if len(run_ids) == 1:
        return run_ids[0]
    if not run_ids:
        raise NotThereError("No run is up.", hint="See which there were: mops adaptive list")
    raise UsageError("Several runs are up.", hint=f"Name one: --run-id {' | '.join(run_ids)}")


def _parameters(progress: "RunProgress") -> str:
    params = progress.best_params or {}
    return ", ".join(f"{name}={shown(value)}" for name, value in params.items())
