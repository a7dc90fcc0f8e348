"""`mops adaptive pause`, `resume` and `cancel`."""

from typing import TYPE_CHECKING, Annotated

import typer

from modelops.cli.options import Options
from modelops.cli.output import print_json, say

if TYPE_CHECKING:
    from modelops.cli.control import Control
    from modelops.runner.progress import RunState

_Chosen = Annotated[
    str | None,
    typer.Option(
        "--run-id", help="The run; may be left out if one only hasn't ended.", metavar="ID"
    ),
]
_NoWait = Annotated[
    bool, typer.Option("--no-wait", help="Don't wait until the run is in that state.")
]
_Timeout = Annotated[
    float, typer.Option(help="How long to wait for that.", metavar="SECONDS", min=0)
]
_TIMEOUT = 600.0


def pause(
    ctx: typer.Context,
    run_id: _Chosen = None,
    no_wait: _NoWait = False,
    timeout: _Timeout = _TIMEOUT,
) -> None:
    """Let what is under way end, and start nothing new until it's resumed."""
    from modelops.runner.progress import RunState

    control = _control(ctx.obj, run_id, timeout, RunState.RUNNING, wait=not no_wait)
    _show_state(ctx.obj, control.run_id, control.pause())


def resume(
    ctx: typer.Context,
    run_id: _Chosen = None,
    no_wait: _NoWait = False,
    timeout: _Timeout = _TIMEOUT,
) -> None:
    """Go on with a run that was paused, interrupted or cancelled.

    Its runner is started if need be, with the plan that the run began with, whatever the spec says
    now.
    """
    from modelops.runner.progress import RunState

    favoured = (RunState.PAUSED, RunState.PAUSING)
    control = _control(ctx.obj, run_id, timeout, *favoured, wait=not no_wait)
    _show_state(ctx.obj, control.run_id, control.resume())


def cancel(
    ctx: typer.Context,
    run_id: _Chosen = None,
    no_wait: _NoWait = False,
    timeout: _Timeout = _TIMEOUT,
) -> None:
    """Give up what is under way and end the run; its results so far are written."""
    control = _control(ctx.obj, run_id, timeout, wait=not no_wait)
    _show_state(ctx.obj, control.run_id, control.cancel())


def _control(
    options: Options, run_id: str | None, timeout: float, *favoured: "RunState", wait: bool
) -> "Control":
    from modelops.cli.control import Control
    from modelops.cli.runs import choose_going_on
    from modelops.cli.session import open_chain

    chain = open_chain(options)
    chosen = choose_going_on(chain, run_id, *favoured)
    return Control(options, chain, chosen, timeout if wait else None)


def _show_state(options: Options, run_id: str, state: str) -> None:
    if options.json:
        print_json({"run_id": run_id, "state": state})
    else:
        say(options, f"{run_id}: {state}")
