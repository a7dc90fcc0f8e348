"""`mops up`, `status`, `down`, `plan`: the whole environment at once."""

import sys
from typing import Annotated, Any

import typer

from modelops.cli.options import Options
from modelops.cli.output import count_words, print_data, print_json, print_table, say
from modelops.cli.stacks import EXIT_CHANGES, has_changes, stack_state
from modelops.contracts import BindingOutputs
from modelops.core.errors import JournalError, UsageError
from modelops.infra.stack import StackResult
from modelops.providers.base import Component, ProviderPlan
from modelops.runner.progress import RunSummary

up = typer.Typer(rich_markup_mode=None)
status = typer.Typer(rich_markup_mode=None)
down = typer.Typer(rich_markup_mode=None)
plan = typer.Typer(rich_markup_mode=None)


@up.command("up")
def up_command(ctx: typer.Context) -> None:
    """Bring all stacks up, push the bundles, start the runs; what is as it should be isn't touched.

    The run-ids are printed to stdout, one a line.
    """
    from modelops.cli.session import note_registry, open_chain, pushed

    options: Options = ctx.obj
    chain = open_chain(options)
    results: list[StackResult] = []

    def note(result: StackResult) -> None:
        results.append(result)
        say(options, f"{result.name}: {count_words(result.changes)}")

    registry = chain.up(Component.REGISTRY)
    note(registry)
    note_registry(chain, registry.bindings)
    chain = pushed(chain, options, registry.bindings)
    bindings = chain.apply(note, after=Component.REGISTRY)
    if options.json:
        print_json(_up_json(results, bindings))
        return
    run_ids = [result.run_id for result in results if result.run_id is not None]
    for run_id in run_ids:
        print_data(run_id)
        say(options, f"Follow it with: mops adaptive status --watch --run-id {run_id}")


@status.command("status")
def status_command(ctx: typer.Context) -> None:
    """Show every stack and run, as they are now; exit with 4 if nothing is up."""
    from modelops.cli.runs import list_runs, run_json, run_states, run_table
    from modelops.cli.session import open_chain

    options: Options = ctx.obj
    chain = open_chain(options)
    stacks = [
        chain.look(component)
        for component in (Component.REGISTRY, Component.INFRA, Component.WORKSPACE)
    ]
    runs: list[RunSummary] = []
    try:
        runs = list_runs(chain) if stacks[1].is_up else []
    except JournalError as error:
        say(options, f"The runs can't be shown: {error}")
    states = run_states(chain, runs)
    if options.json:
        print_json(
            {
                "env": chain.plan.env,
                "stacks": [
                    {"stack": item.name, "up": item.is_up, "dead": list(item.dead)}
                    for item in stacks
                ],
                "runs": [run_json(run, states[run.run_id]) for run in runs],
            }
        )
    else:
        print_table(
            ("stack", "state", "resources"),
            [(item.name, stack_state(item), str(len(item.resources))) for item in stacks],
        )
        if runs:
            print_data("")
            print_table(*run_table(runs, states))
    if not any(item.is_up for item in stacks):
        say(options, "Nothing is up. Bring it up with: mops up")
        sys.exit(4)


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
    chain = open_chain(options)
    if delete_data and not options.yes:
        if not sys.stdin.isatty():
            raise UsageError("--delete-data can't be undone.", hint="Add --yes if you mean it.")
        typer.confirm(f"Delete all data of the environment {chain.plan.env}?", abort=True, err=True)
    changes = chain.down_all()
    forget_registry(chain)
    for name, counts in changes.items():
        say(options, f"{name}: {count_words(counts)}")
    deleted = chain.provider.delete_data(chain.provider_plan()) if delete_data else ()
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
    from modelops.cli.session import open_chain, pinned_by_content
    from modelops.spec import plan_to_json

    options: Options = ctx.obj
    chain = pinned_by_content(open_chain(options))
    compiled = chain.provider_plan()
    changes = chain.preview_all() if preview else {}
    if options.json:
        shown = {"plan": plan_to_json(chain.plan), "stacks": provider_plan_json(compiled)}
        print_json({**shown, "preview": changes} if preview else shown)
    else:
        rows = [
            (chain.naming.stack(stack.component, stack.run_id), resource.name, resource.type)
            for stack in compiled.stacks
            for resource in stack.resources
        ]
        print_table(("stack", "resource", "type"), rows)
        for name, counts in changes.items():
            print_data(f"{name}: {count_words(counts)}")
    if exit_code and any(has_changes(counts) for counts in changes.values()):
        sys.exit(EXIT_CHANGES)


def provider_plan_json(compiled: ProviderPlan) -> list[dict[str, Any]]:
    """Return a provider's plan as JSON, stack by stack in order."""
    return [
        {
            "component": str(stack.component),
            "run_id": stack.run_id,
            "resources": [
                {
                    "type": resource.type,
                    "name": resource.name,
                    "properties": dict(resource.properties),
                    "needs": list(resource.needs),
                }
                for resource in stack.resources
            ],
        }
        for stack in compiled.stacks
    ]


def _up_json(results: list[StackResult], bindings: dict[str, BindingOutputs]) -> dict[str, Any]:
    return {
        "stacks": [{"stack": item.name, "changes": dict(item.changes)} for item in results],
        "runs": [result.run_id for result in results if result.run_id is not None],
        "bindings": {name: outputs.to_json() for name, outputs in bindings.items()},
    }
