"""The table of commands and the global options."""

import importlib
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from modelops.cli.options import Options

# The help is printed from this table, so that `mops --help` imports none of the modules.
COMMANDS: Mapping[str, tuple[str, str]] = {
    "init": ("init", "Make a runnable bundle and runtime.yaml to start from."),
    "up": ("environment:up", "Bring all stacks up and start the runs."),
    "status": ("environment:status", "Show how all parts and runs are."),
    "logs": ("logs:app", "Print what the parts wrote."),
    "down": ("environment:down", "Take all stacks down; data stay unless --delete-data."),
    "plan": ("environment:plan", "Show what the spec compiles to; touch nothing."),
    "spec": ("spec", "Check, show and describe the RuntimeSpec."),
    "registry": ("stacks:registry", "The stack that holds bundles."),
    "infra": ("stacks:infra", "The stack of databases and object stores."),
    "workspace": ("stacks:workspace", "The stack of the Dask scheduler and its workers."),
    "adaptive": ("adaptive", "Runs: start, follow, pause, cancel, read results."),
    "bundle": ("bundle", "Model code as OCI artifacts."),
    "dev": ("dev", "Try the whole way of a bundle, the connection to Dask, a bundle."),
    "secrets": ("secrets", "Passwords, keys and tokens that runs read."),
    "version": ("version", "Print the versions of all parts."),
}


class _LazyGroup(TyperGroup):
    """Knows its commands from the table; a command's module is imported when it is called."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return None
        module_name, _, attribute = COMMANDS[cmd_name][0].partition(":")
        module = importlib.import_module(f"modelops.cli.{module_name}")
        command = typer.main.get_command(getattr(module, attribute or "app"))
        command.name = cmd_name
        return command

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, help_) for name, (_, help_) in COMMANDS.items()])


app = typer.Typer(
    cls=_LazyGroup,
    name="mops",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(epilog="Global options may stand before or after the command.")
def _globals(  # noqa: PLR0917 — Typer reads the signature
    ctx: typer.Context,
    env: Annotated[str | None, typer.Option(help="The environment, instead of the spec's.")] = None,
    config: Annotated[
        Path, typer.Option("--config", "-f", help="The RuntimeSpec.", metavar="FILE")
    ] = Path("runtime.yaml"),
    provider: Annotated[
        str | None, typer.Option(help="The provider, instead of the spec's.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print data as JSON.")] = False,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Answer every question with yes.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No messages, only data.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks and log lines.")] = False,
) -> None:
    """Take a simulation from a laptop to a cluster."""
    logging.basicConfig(level=logging.DEBUG if debug else logging.WARNING, format="%(message)s")
    # Its server reports an engine that hung up as an error of ours, with a traceback.
    logging.getLogger("grpc").setLevel(logging.DEBUG if debug else logging.CRITICAL)
    # What is tried again is said only if it fails in the end.
    logging.getLogger("stamina").setLevel(logging.DEBUG if debug else logging.ERROR)
    ctx.obj = Options(
        env=env,
        config=config,
        provider=provider,
        json=json,
        yes=yes,
        quiet=quiet,
        debug=debug,
    )
