"""`mops up`, `status`, `down`, `plan`: the whole environment at once."""

import sys
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelops.cli.options import Options
from modelops.cli.output import count_words, print_data, print_json, say
from modelops.cli.stacks import EXIT_CHANGES, HEALTH_SECONDS, ExitCode, Timeout, has_changes
from modelops.contracts import BindingOutputs
from modelops.core.errors import UsageError

WATCH_SECONDS = 2.0
"""How long `status --watch` rests between two looks: nobody tells when something has changed."""

# Clear the screen, and go to its first line.
_CLEAR = "\x1b[2J\x1b[H"

if TYPE_CHECKING:
    from collections.abc import Mapping

    from modelops.infra.stack import StackResult

up = typer.Typer(rich_markup_mode=None)
status = typer.Typer(rich_markup_mode=None)
down = typer.Typer(rich_markup_mode=None)
plan = typer.Typer(rich_markup_mode=None)


@up.command("up")
def up_command(ctx: typer.Context) -> None:
    """Bring all stacks up, push the bundles, start the runs; what is as it should be isn't touched.

    The run-ids are printed to stdout, one a line.
    """
    from modelops.cli.advice import other_runs, what_became
    from modelops.cli.beginning import await_begun
    from modelops.cli.runs import list_runs, run_states
    from modelops.cli.session import is_registry_noted, note_registry, open_chain, pushed
    from modelops.providers.base import REGISTRY_BINDINGS

    options: Options = ctx.obj
    chain = open_chain(options, operates=True)
    for line in chain.provider_plan().notes:
        say(options, line)
    results: list[StackResult] = []

    def note(result: "StackResult") -> None:
        results.append(result)
        say(options, f"{result.name}: {count_words(result.changes)}")

    with chain.exclusively():
        stores = chain.up_stores(note, were_up=is_registry_noted(chain))
        note_registry(chain, stores)
        with chain.reached(stores, REGISTRY_BINDINGS) as registry:
            chain = pushed(chain, options, registry)
        bindings = chain.up_runs(note)
    run_ids = [result.run_id for result in results if result.run_id is not None]
    await_begun(chain, run_ids, lambda line: say(options, f"  {line}"))
    runs = {run.run_id: run for run in list_runs(chain) if run.run_id in run_ids}
    states = run_states(chain, list(runs.values()))
    if options.json:
        print_json({**_up_json(results, bindings), "states": states})
    for run_id in run_ids:
        if not options.json:
            print_data(run_id)
        say(options, what_became(runs[run_id], states[run_id]))
    for line in other_runs(chain, run_ids):
        say(options, line)


@status.command("status")
def status_command(
    ctx: typer.Context,
    exit_code: ExitCode = False,
    timeout: Timeout = HEALTH_SECONDS,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Show it again and again until Ctrl-C.")
    ] = False,
) -> None:
    """Show every part and run, as they are now and do their work; exit with 4 if nothing is up."""
    from modelops.cli.health import (
        check_environment,
        print_runs,
        print_stacks,
        say_what_to_do,
    )
    from modelops.cli.session import open_chain

    options: Options = ctx.obj
    if watch and options.json:
        raise UsageError("--watch is for people; it has no JSON.", hint="Leave one of them out.")
    chain = open_chain(options)
    while True:
        health = check_environment(chain, timeout)
        if options.json:
            print_json({"env": chain.plan.env, **health.to_json()})
        else:
            if watch and sys.stdout.isatty():
                print_data(_CLEAR)
            print_stacks(health)
            print_runs(health)
        if health.problem:
            say(options, f"The runs can't be shown: {health.problem}")
        say_what_to_do(options, health.stacks)
        if not watch:
            break
        time.sleep(WATCH_SECONDS)
    if not health.is_up:
        say(options, "Nothing is up. Bring it up with: mops up")
        sys.exit(4)
    if exit_code and not health.is_well:
        sys.exit(EXIT_CHANGES)


@down.command("down")
def down_command(
    ctx: typer.Context,
    delete_data: Annotated[
        bool,
        typer.Option("--delete-data", help="Delete bundles, results, journals and logs too."),
    ] = False,
) -> None:
    """Take all stacks down in reverse order. Bundles, results and journals stay."""
    from modelops.cli.session import forget_registry, open_chain

    options: Options = ctx.obj
    chain = open_chain(options, operates=True)
    if delete_data and not options.yes:
        if not sys.stdin.isatty():
            raise UsageError("--delete-data can't be undone.", hint="Add --yes if you mean it.")
        typer.confirm(f"Delete all data of the environment {chain.plan.env}?", abort=True, err=True)
    changes = chain.down_all(lambda name, counts: _say_down(options, name, counts))
    if not any(changes.values()):
        say(options, f"{chain.plan.env}: nothing is up.")
    forget_registry(chain)
    deleted = chain.delete_data() if delete_data else ()
    for what in deleted:
        say(options, f"deleted {what}")
    if options.json:
        print_json({"stacks": changes, "deleted": list(deleted)})


@plan.command("plan")
def plan_command(
    ctx: typer.Context,
    preview: Annotated[
        bool, typer.Option("--preview", help="Ask the engine what `up` would change.")
    ] = False,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="With --preview: exit with 3 if there are changes.")
    ] = False,
) -> None:
    """Show the stacks and resources that the spec compiles to; nothing is touched."""
    from modelops.cli.plan_table import print_plan
    from modelops.cli.session import open_chain, pinned_by_content, resolved
    from modelops.providers.base import REGISTRY_BINDINGS, Component
    from modelops.spec import plan_to_json

    options: Options = ctx.obj
    chain = open_chain(options, operates=preview)
    if preview and chain.status(Component.REGISTRY).is_up:
        with chain.reach(Component.REGISTRY, REGISTRY_BINDINGS) as registry:
            chain = resolved(chain, options, registry)
    chain = pinned_by_content(chain)
    compiled = chain.provider_plan()
    changes = chain.preview_all() if preview else {}
    for line in compiled.notes:
        say(options, line)
    for algorithm in chain.plan.algorithms:
        if algorithm.bundle.tag is not None:
            what = f"{algorithm.name}: the tag {algorithm.bundle.tag} is resolved to a digest"
            say(options, f"{what} when the run is started; until then it has no stack here.")
    if options.json:
        shown = {
            "plan": plan_to_json(chain.plan),
            "stacks": [stack.to_json() for stack in compiled.stacks],
            "notes": list(compiled.notes),
        }
        print_json({**shown, "preview": changes} if preview else shown)
    else:
        print_plan(chain.plan, compiled)
        for name, counts in changes.items():
            print_data(f"{name}: {count_words(counts)}")
    if exit_code and any(has_changes(counts) for counts in changes.values()):
        sys.exit(EXIT_CHANGES)


def _say_down(options: Options, name: str, counts: "Mapping[str, int]") -> None:
    # A stack that wasn't there has none.
    if counts:
        say(options, f"{name}: {count_words(counts)}")


def _up_json(results: list["StackResult"], bindings: dict[str, BindingOutputs]) -> dict[str, Any]:
    return {
        "stacks": [{"stack": item.name, "changes": dict(item.changes)} for item in results],
        "runs": [result.run_id for result in results if result.run_id is not None],
        "bindings": {name: outputs.to_json() for name, outputs in bindings.items()},
    }
