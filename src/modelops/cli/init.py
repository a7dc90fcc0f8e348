"""`mops init`: a runnable bundle and runtime.yaml to start from."""

import json
import re
from pathlib import Path
from typing import Annotated

import typer

from modelops.bundles.discovery import effective_registry
from modelops.bundles.manifest import read_manifest
from modelops.bundles.template import STARTER_PARAMETERS, create_bundle
from modelops.cli.options import Options
from modelops.cli.output import say
from modelops.core.errors import BundleError

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
        targets: [{targets}]
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
        raise BundleError(
            f"{directory} has runtime.yaml already.",
            hint="Choose another directory, or move the file away.",
        )
    for path in create_bundle(directory, name):
        say(options, f"made {path}")
    space = "\n".join(
        f"          {parameter}: {{low: {low}, high: {high}}}"
        for parameter, (low, high) in STARTER_PARAMETERS.items()
    )
    targets = ", ".join(effective_registry(directory).targets)
    # In quotes, since a name like 2024 or on is text in a manifest and isn't in YAML.
    label = json.dumps(_label(read_manifest(directory).name))
    runtime.write_text(_RUNTIME.format(name=label, targets=targets, space=space))
    say(options, f"made {runtime}\nNext: cd {directory}, then mops up")


def _label(name: str) -> str:
    """Return a DNS label that is like the name and leaves room for the rest of a run-id."""
    return re.sub(r"[^a-z0-9]+", "-", name)[:54].strip("-")
