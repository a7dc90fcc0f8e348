"""`mops registry`, `infra`, `workspace`: one stack each, with the same commands."""

import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelops.cli.log_options import Follow, ListParts, LogRequest, Part, Tail
from modelops.cli.options import Options
from modelops.cli.output import count_words, print_data, print_json, print_table, say
from modelops.providers.base import Component

if TYPE_CHECKING:
    from modelops.infra.stack import StackStatus

EXIT_CHANGES = 3

HEALTH_SECONDS = 5.0
"""How long a part may take to answer, unless the user says otherwise."""

_ChangesCode = Annotated[
    bool, typer.Option("--exit-code", help="Exit with 3 if there are changes or drift.")
]
ExitCode = Annotated[
    bool, typer.Option("--exit-code", help="Exit with 3 if something is dead or unhealthy.")
]
Timeout = Annotated[
    float,
    typer.Option(help="How long a part may take to answer.", metavar="SECONDS", min=0.1),
]


def _up(options: Options, component: Component) -> None:
    from modelops.cli.session import note_registry, open_chain

    chain = open_chain(options, operates=True)
    result = chain.up(component)
    if component is Component.REGISTRY:
        note_registry(chain, result.bindings)
    if options.json:
        print_json({"stack": result.name, "changes": dict(result.changes)})
    else:
        say(options, f"{result.name}: {count_words(result.changes)}")


def _preview(options: Options, component: Component, *, exit_code: bool) -> None:
    from modelops.cli.session import open_chain

    changes = open_chain(options, operates=True).preview(component)
    if options.json:
        print_json(dict(changes))
    else:
        print_data(count_words(changes))
    if exit_code and has_changes(changes):
        sys.exit(EXIT_CHANGES)


def _refresh(options: Options, component: Component, *, exit_code: bool) -> None:
    from modelops.cli.session import open_chain

    _show(options, open_chain(options, operates=True).refresh(component), exit_code=exit_code)


def _status(options: Options, component: Component, seconds: float, *, exit_code: bool) -> None:
    from modelops.cli.health import check_component, print_stack, say_what_to_do
    from modelops.cli.session import open_chain

    chain = open_chain(options)
    health = check_component(chain, component, seconds)
    if options.json:
        resources = chain.look(component).resources
        print_json({**health.to_json(), "resources": _plain(resources)})
    else:
        print_stack(component, health)
        say_what_to_do(options, {component: health})
    if exit_code and health.unwell:
        sys.exit(EXIT_CHANGES)


def _show(options: Options, status: "StackStatus", *, exit_code: bool) -> None:
    if options.json:
        resources = _plain(status.resources)
        print_json({"stack": status.name, "up": status.is_up, "resources": resources})
    else:
        rows = [(name, resource_state(outputs)) for name, outputs in status.resources.items()]
        print_table(("resource", "state"), rows)
    if exit_code and status.dead:
        sys.exit(EXIT_CHANGES)


def _plain(resources: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    return {name: dict(outputs) for name, outputs in resources.items()}


def _outputs(options: Options, component: Component) -> None:
    from modelops.cli.session import open_chain

    bindings = open_chain(options).bindings(component)
    if options.json:
        print_json(bindings.to_json())
        return
    for name, value in bindings.env.items():
        print_data(f"{name}={value}")
    for name, ref in bindings.secrets.items():
        print_data(f"{name}=<secret: {ref.kind} {ref.name} {ref.key}>")
    for name, address in bindings.addresses.items():
        print_data(f"{name}: {address}")


def _down(options: Options, component: Component) -> None:
    from modelops.cli.session import forget_registry, open_chain

    chain = open_chain(options, operates=True)
    changes = chain.down(component)
    if component is Component.REGISTRY:
        forget_registry(chain)
    if options.json:
        print_json(dict(changes))
    else:
        say(options, f"{chain.naming.stack(component)}: {count_words(changes)}")


def _group(component: Component) -> typer.Typer:
    group = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help=f"The {component} stack.")

    def command(name: str, does: Callable[[Options, Component], None], help_: str) -> None:
        def call(ctx: typer.Context) -> None:
            does(ctx.obj, component)

        group.command(name, help=help_)(call)

    command("up", _up, "Bring the stack to what the spec says; heal what died.")
    command("outputs", _outputs, "Print what the stack hands on: environment and addresses.")
    command("down", _down, "Take the stack down; its data stay.")

    @group.command()
    def preview(ctx: typer.Context, exit_code: _ChangesCode = False) -> None:
        """Show what `up` would do; touch nothing."""
        _preview(ctx.obj, component, exit_code=exit_code)

    @group.command()
    def status(
        ctx: typer.Context, exit_code: ExitCode = False, timeout: Timeout = HEALTH_SECONDS
    ) -> None:
        """Show the stack's parts: whether they are there and do their work."""
        _status(ctx.obj, component, timeout, exit_code=exit_code)

    @group.command()
    def logs(
        ctx: typer.Context,
        part: Part = None,
        follow: Follow = False,
        tail: Tail = None,
        list_: ListParts = False,
    ) -> None:
        """Print what the stack's parts wrote, or one of them."""
        from modelops.cli.logs import print_logs
        from modelops.cli.session import open_chain

        request = LogRequest(part, component, follow=follow, tail=tail, only_list=list_)
        print_logs(ctx.obj, open_chain(ctx.obj), request)

    @group.command()
    def refresh(ctx: typer.Context, exit_code: _ChangesCode = False) -> None:
        """Look at every resource and note in the state what is found."""
        _refresh(ctx.obj, component, exit_code=exit_code)

    return group


def has_changes(changes: Any) -> bool:
    """Return whether the engine's counts speak of anything but unchanged resources."""
    return any(count for kind, count in changes.items() if kind != "same")


def resource_state(outputs: Any) -> str:
    """Return the state of a resource in a word."""
    if outputs.get("alive") is False:
        return "dead"
    if outputs.get("exists") is False:
        return "gone"
    return "finished" if outputs.get("exit_code") == 0 else "ok"


registry = _group(Component.REGISTRY)
infra = _group(Component.INFRA)
workspace = _group(Component.WORKSPACE)
