"""`mops adaptive`: start runs, follow them, read their results."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from modelops.cli.options import Options
from modelops.cli.output import count_words, print_data, print_json, print_table, say
from modelops.core.errors import NotThereError, RunFailedError, UsageError

if TYPE_CHECKING:
    from modelops.infra.chain import StackChain
    from modelops.runner.progress import RunProgress

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Runs: start, follow, read results."
)

# How the results call the column of a parameter.
_PARAMETER = "param."

_RunId = Annotated[
    str | None, typer.Option("--run-id", help="The run; the newest one if left out.", metavar="ID")
]


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
) -> None:
    """Start a run, or go on with it, and follow it; Ctrl-C detaches.

    The run-id is printed first. A run that has finished isn't started again.
    """
    from modelops.cli import session
    from modelops.providers.base import Component

    options: Options = ctx.obj
    chain = session.for_run(session.open_chain(options), algorithm, run_id)
    name = chain.plan.algorithms[0].name
    # The digest follows from the content, so the run has its name before anything is pushed.
    chosen = session.pinned_by_content(chain).run_stack(name).run_id or ""
    if not options.json:
        print_data(chosen)
    chain = session.pushed(chain, options, chain.bindings(Component.REGISTRY))
    dead = chain.look(Component.WORKSPACE).dead
    if dead:
        raise NotThereError(
            f"The workspace has parts that died: {', '.join(dead)}.",
            hint="Heal it with: mops workspace up",
        )
    result = chain.up_run(name)
    say(options, f"{result.name}: {count_words(result.changes)}")
    if detach and options.json:
        print_json({"run_id": chosen, "changes": dict(result.changes)})
    if not detach:
        sys.exit(_follow_to_exit(options, chain, chosen))


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
    run_id: _RunId = None,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Follow the run to its end.")
    ] = False,
) -> None:
    """Show how far a run has come; with --watch exit as the run does: 0 finished, 1 failed."""
    from modelops.cli.progress import describe
    from modelops.cli.runs import choose_run, journal_of, progress_of, run_json, run_states
    from modelops.cli.session import open_chain

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
    if progress.message:
        print_data(progress.message)
    if progress.best_params is not None:
        print_data(f"best trial {progress.best_trial}: {_parameters(progress)}")


@app.command()
def logs(
    ctx: typer.Context,
    run_id: _RunId = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on until the run ends.")
    ] = False,
) -> None:
    """Print what the run's runner wrote."""
    from modelops.cli.logs import print_log
    from modelops.cli.runs import choose_run
    from modelops.cli.session import open_chain

    chain = open_chain(ctx.obj)
    print_log(chain, choose_run(chain, run_id), follow=follow)


@app.command()
def results(
    ctx: typer.Context,
    run_id: _RunId = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write all trials to a Parquet file.", metavar="FILE"),
    ] = None,
    top: Annotated[int, typer.Option(help="How many of the best trials to print.", min=1)] = 10,
) -> None:
    """Print the best trials of a run, or write all of them to a Parquet file."""
    from modelops.cli.runs import choose_run, journal_of, object_store_of
    from modelops.cli.session import open_chain
    from modelops.runner.results import read_results

    options: Options = ctx.obj
    chain = open_chain(options)
    chosen = choose_run(chain, run_id)
    with journal_of(chain, chosen):
        table = read_results(object_store_of(chain), chosen)
    if output is not None:
        import pyarrow.parquet as pq

        pq.write_table(table, output)
        say(options, f"{table.num_rows} trials written to {output}")
        return
    rows = [row for row in table.to_pylist() if row["status"] == "completed"]
    best = sorted(rows, key=lambda row: (row["loss"], row["trial"]))[:top]
    if options.json:
        print_json(best)
        return
    if not best:
        say(options, f"No trial has completed. See: mops adaptive logs --run-id {chosen}")
    names = [name for name in table.column_names if name.startswith(_PARAMETER)]
    print_table(
        ("trial", "loss", *(name.removeprefix(_PARAMETER) for name in names)),
        [
            (str(row["trial"]), f"{row['loss']:.6g}", *(_shown(row[name]) for name in names))
            for row in best
        ],
    )


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
    chain = open_chain(options)
    chosen = run_id if run_id is not None else _only(chain.run_ids())
    changes = chain.down(Component.ADAPTIVE, chosen)
    if options.json:
        print_json({"run_id": chosen, "changes": dict(changes)})
    else:
        say(options, f"{chosen}: {count_words(changes)}")


def _follow_to_exit(options: Options, chain: "StackChain", run_id: str) -> int:
    from modelops.cli.progress import follow
    from modelops.cli.runs import run_json, run_states
    from modelops.runner.progress import RunState

    progress = follow(options, chain, run_id)
    if options.json:
        print_json(run_json(progress, run_states(chain, [progress])[run_id]))
    if progress.state is RunState.FINISHED:
        say(options, f"Finished: loss {progress.best_loss:.6g} at {_parameters(progress)}")
        return 0
    if progress.state is RunState.FAILED:
        raise RunFailedError(
            f"The run {run_id} failed: {progress.message}",
            hint=f"See: mops adaptive logs --run-id {run_id}",
        )
    again = f"mops adaptive up {progress.algorithm} --run-id {run_id}"
    raise RunFailedError(
        f"The runner of {run_id} is gone.", hint=f"Go on from its journal with: {again}"
    )


def _only(run_ids: Sequence[str]) -> str:
    if len(run_ids) == 1:
        return run_ids[0]
    if not run_ids:
        raise NotThereError("No run is up.", hint="See which there were: mops adaptive list")
    raise UsageError("Several runs are up.", hint=f"Name one: --run-id {' | '.join(run_ids)}")


def _parameters(progress: "RunProgress") -> str:
    params = progress.best_params or {}
    return ", ".join(f"{name}={_shown(value)}" for name, value in params.items())


def _shown(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
