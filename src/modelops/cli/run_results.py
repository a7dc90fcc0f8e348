"""What runs left: their results, their profile, and the outputs that are kept."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from modelops.cli.options import Options
from modelops.cli.output import print_json, print_table, say
from modelops.core.errors import UsageError

if TYPE_CHECKING:
    from modelops.infra.chain import StackChain

RunId = Annotated[
    str | None, typer.Option("--run-id", help="The run; the newest one if left out.", metavar="ID")
]

# How the results call the column of a parameter.
_PARAMETER = "param."


def results(
    ctx: typer.Context,
    run_id: RunId = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Write all trials to a Parquet file, a row for each replicate.",
            metavar="FILE",
        ),
    ] = None,
    top: Annotated[int, typer.Option(help="How many of the best trials to print.", min=1)] = 10,
    profile: Annotated[
        bool, typer.Option("--profile", help="Print where the time of its simulations went.")
    ] = False,
) -> None:
    """Print the best trials of a run, or write all of them to a Parquet file."""
    from modelops.cli.runs import choose_run, journal_of, object_store_of
    from modelops.cli.session import open_chain
    from modelops.cli.written import check_output, warn_if_packed, write_parquet
    from modelops.runner.results import read_results, trial_rows

    options: Options = ctx.obj
    check_output(output)
    chain = open_chain(options)
    chosen = choose_run(chain, run_id)
    if profile:
        print_profile(options, chain, chosen)
        return
    with journal_of(chain, chosen), object_store_of(chain) as store:
        table = read_results(store, chosen)
    if output is not None:
        import pyarrow.compute as pc

        write_parquet(table, output)
        trials = len(pc.unique(table.column("trial")))
        say(options, f"{trials} trials written to {output}")
        warn_if_packed(options, chain, output)
        return
    rows = [row for row in trial_rows(table) if row["status"] == "completed"]
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
            (str(row["trial"]), f"{row['loss']:.6g}", *(shown(row[name]) for name in names))
            for row in best
        ],
    )


def prune(
    ctx: typer.Context,
    older_than: Annotated[
        str | None,
        typer.Option("--older-than", help="Only what is older, as in 30d.", metavar="DURATION"),
    ] = None,
    run_id: Annotated[
        list[str] | None,
        typer.Option("--run-id", help="Only what was simulated for this run.", metavar="ID"),
    ] = None,
) -> None:
    """Remove stored outputs of simulations; whoever needs them again simulates them again.

    Journals and results of runs stay.
    """
    import datetime

    from modelops.cli.runs import object_store_of
    from modelops.cli.session import open_chain
    from modelops.result_store.collection import collect
    from modelops.spec.units import QuantityError, parse_duration

    options: Options = ctx.obj
    if older_than is None and not run_id:
        raise UsageError(
            "Say which outputs to remove.",
            hint="By age: --older-than 30d. Of a run: --run-id ID. All: --older-than 1s",
        )
    now = datetime.datetime.now(datetime.UTC)
    age = None
    if older_than is not None:
        try:
            age = datetime.timedelta(seconds=parse_duration(older_than))
            now - age
        except QuantityError as error:
            raise UsageError(f"--older-than is {older_than!r}: {error}") from error
        except OverflowError:
            raise UsageError(
                f"--older-than is {older_than!r}: no calendar goes back so far."
            ) from None
    with object_store_of(open_chain(options)) as store:
        removed = collect(
            store,
            older_than=age,
            runs=run_id or None,
            now=now,
        )
    if options.json:
        print_json({"segments": removed.segments, "bytes": removed.bytes})
    else:
        say(options, f"Removed {removed.segments} segments, {removed.bytes:,} bytes.")


def print_profile(options: Options, chain: "StackChain", run_id: str) -> None:
    """Print where the time of a run's simulations went."""
    from modelops.cli.runs import object_store_of
    from modelops.runner.results import read_profile

    with object_store_of(chain) as store:
        found = read_profile(store, run_id)
    if options.json:
        print_json(found)
        return
    names = ("total", "mean", "p50", "p95", "longest")
    say(options, f"{found['simulations']} simulations were run; seconds:")
    print_table(
        ("part", *names),
        [
            (part, *(f"{summary[name]:.4g}" for name in names))
            for part, summary in found["seconds"].items()
        ],
    )


def shown(value: object) -> str:
    """Return a value as a table shows it."""
    return f"{value:.6g}" if isinstance(value, float) else str(value)
