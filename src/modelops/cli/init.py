"""`mops init`: a runnable bundle and runtime.yaml to start from."""

from pathlib import Path
from typing import Annotated

import typer

from modelops.bundles.manifest import read_manifest
from modelops.bundles.template import create_bundle
from modelops.cli.options import Options
from modelops.cli.output import say
from modelops.core.errors import UsageError

_RUNTIME = """\
apiVersion: modelops/v1
kind: Runtime
metadata:
  name: {name}
spec:
  provider:
    name: local
  algorithms:
    {name}:
      type: optuna
      parameters: {{n_trials: 100, replicates: 5, seed: 1}}
      entrypoint:
        bundle: .
        space:
{space}
"""

app = typer.Typer(rich_markup_mode=None)


@app.command("init")
def init(
    ctx: typer.Context,
    directory: Annotated[Path, typer.Argument(help="Where to make it.", metavar="DIR")] = Path(),
    name: Annotated[str | None, typer.Option(help="The bundle's name.")] = None,
) -> None:
    """Make a runnable bundle and runtime.yaml to start from; nothing is overwritten."""
    options: Options = ctx.obj
    runtime = directory / "runtime.yaml"
    if runtime.exists():
        raise UsageError(f"{runtime} is there already.", hint="Choose another directory.")
