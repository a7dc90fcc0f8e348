"""The entry point `mops`: the table of commands, the global options, errors and exit codes."""

import importlib
import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from modelops.cli.options import Options, hoist_global_options

# The help is printed from this table, so that `mops --help` imports none of the modules.
_COMMANDS: Mapping[str, tuple[str, str]] = {
    "init": ("init", "Make a runnable bundle and runtime.yaml to start from."),
    "up": ("environment:up", "Bring all stacks up and start the runs."),
    "status": ("environment:status", "Show all stacks and runs."),
    "down": ("environment:down", "Take all stacks down; data stay unless --delete-data."),
    "plan": ("environment:plan", "Show what the spec compiles to; touch nothing."),
    "spec": ("spec", "Check, show and describe the RuntimeSpec."),
    "registry": ("stacks:registry", "The stack that holds bundles."),
    "infra": ("stacks:infra", "The stack of databases and object stores."),
    "workspace": ("stacks:workspace", "The stack of the Dask scheduler and its workers."),
    "adaptive": ("adaptive", "Runs: start, follow, read results."),
    "bundle": ("bundle", "Model code as OCI artifacts."),
    "version": ("version", "Print the versions of all parts."),
}


class _LazyGroup(TyperGroup):
    """Knows its commands from the table; a command's module is imported when it is called."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in _COMMANDS:
            return None
        module_name, _, attribute = _COMMANDS[cmd_name][0].partition(":")
        module = importlib.import_module(f"modelops.cli.{module_name}")
        command = typer.main.get_command(getattr(module, attribute or "app"))
        command.name = cmd_name
        return command

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, help_) for name, (_, help_) in _COMMANDS.items()])


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
    ctx.obj = Options(
        env=env,
        config=config,
        provider=provider,
        json=json,
        yes=yes,
        quiet=quiet,
        debug=debug,
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Run a command and exit: 0 done, 1 failed, 2 wrong usage, 3 changes, 4 it isn't there."""
    arguments = hoist_global_options(sys.argv[1:] if argv is None else argv)
    try:
        app(args=arguments, prog_name="mops")
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted.\n")
        sys.exit(130)
    except BrokenPipeError:
        # The reader of our output has gone: nothing more to say, and nobody to say it to.
        sys.stderr.close()
        sys.exit(1)
    except Exception as error:  # noqa: BLE001 — the last place: a message instead of a traceback
        sys.exit(_report(error, debug="--debug" in arguments))


def _report(error: Exception, *, debug: bool) -> int:
    from modelops.contracts.errors import ContractError
    from modelops.core.errors import ModelOpsError

    if debug:
        import traceback

        traceback.print_exception(error)
    if isinstance(error, ModelOpsError):
        sys.stderr.write(f"Error: {error}\n")
        return error.exit_code
    if isinstance(error, ContractError):
        sys.stderr.write(f"Error: {error}\n")
        return 2
    sys.stderr.write(
        f"Internal error: {type(error).__name__}: {error}\n"
        "This is a fault of mops. Run the command again with --debug to see where it is.\n"
    )
    return 1


if __name__ == "__main__":
    main()
