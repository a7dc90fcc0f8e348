"""The entry point `mops`: errors and exit codes."""

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from modelops.cli.options import hoist_global_options
from modelops.cli.output import INTERRUPTED, QuietExit

HELP = Path(__file__).with_name("help.txt")
"""The help as Typer prints it, since importing Typer takes ten times as long as printing this.

A test keeps the two the same; `python -m modelops.cli.help` writes it anew.
"""


def entry() -> None:
    """Be the console script: run a command and end the process at once.

    The interpreter's way of ending waits for the threads of the engine's SDK and of Arrow, and
    some of them end in a crash after all is done.
    """
    try:
        main()
    except SystemExit as exit_:
        code = exit_.code if isinstance(exit_.code, int) else int(exit_.code is not None)
    else:
        code = 0
    with suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def main(argv: Sequence[str] | None = None) -> None:
    """Run a command and exit.

    The codes: 0 done, 1 failed, 2 wrong usage, 3 changes, 4 it isn't there, 130 interrupted.
    """
    arguments = hoist_global_options(sys.argv[1:] if argv is None else argv)
    if arguments in (["--help"], ["-h"]):
        sys.stdout.write(HELP.read_text())
        sys.exit(0)
    try:
        from modelops.cli.app import app

        app(args=arguments, prog_name="mops")
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted.\n")
        sys.exit(INTERRUPTED)
    except SystemExit as exit_:
        # Typer ends a command that is interrupted, and says nothing.
        if exit_.code == INTERRUPTED and not isinstance(exit_, QuietExit):
            sys.stderr.write("Interrupted.\n")
        raise
    except BrokenPipeError:
        # The reader of our output has gone: nothing more to say, and nobody to say it to.
        sys.stderr.close()
        sys.exit(1)
    except Exception as error:  # noqa: BLE001 — the last place: a message instead of a traceback
        sys.exit(_report(error, debug="--debug" in arguments))
    finally:
        _end_plugins()


def _end_plugins() -> None:
    # Not imported here: most commands have no use for the engine.
    shared = sys.modules.get("modelops.core.shared_plugins")
    if shared is not None:
        shared.end_plugins()


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
    if isinstance(error, OSError) and error.filename is not None:
        sys.stderr.write(f"Error: {error.filename}: {error.strerror}\n")
        return 1
    sys.stderr.write(
        f"Internal error: {type(error).__name__}: {error}\n"
        "This is a fault of mops. Run the command again with --debug to see where it is.\n"
    )
    return 1


if __name__ == "__main__":
    entry()
