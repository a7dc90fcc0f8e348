"""`mops bundle`: make, check and push model code."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from modelops.cli.options import Options
from modelops.cli.output import print_data, print_json, say

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Model code as OCI artifacts.")

_Directory = Annotated[Path, typer.Argument(help="The bundle's directory.", metavar="DIR")]


@app.command()
def init(
    ctx: typer.Context,
    directory: _Directory = Path(),
    name: Annotated[str | None, typer.Option(help="The bundle's name.")] = None,
) -> None:
    """Make a runnable bundle to start from."""
    from modelops.bundles.template import create_bundle

    for path in create_bundle(directory, name):
        say(ctx.obj, f"made {path}")


@app.command()
def validate(ctx: typer.Context, directory: _Directory = Path()) -> None:
    """Check a bundle: manifest, entrypoint, models, targets, files."""
    from modelops.bundles.validate import validate_bundle

    options: Options = ctx.obj
    findings = validate_bundle(directory)
    if options.json:
        print_json(
            [{"severity": f.severity, "message": f.message, "hint": f.hint} for f in findings]
        )
    for finding in findings:
        say(options, f"{finding.severity}: {finding.message}")
        if finding.hint:
            say(options, f"  {finding.hint}")
    if any(finding.severity == "error" for finding in findings):
        sys.exit(2)
    say(options, f"{directory} is a valid bundle.")


@app.command()
def push(
    ctx: typer.Context,
    directory: _Directory = Path(),
    repository: Annotated[
        str | None, typer.Option(help="The repository; the bundle's name if left out.")
    ] = None,
) -> None:
    """Push a bundle to the environment's registry and print its reference.

    The environment and the registry's prefix are those of the spec, if there is one.
    """
    from modelops.bundles.address import registry_url
    from modelops.bundles.packing import pack
    from modelops.bundles.stores import open_store
    from modelops.cli.session import compile_plan, repository_of

    options: Options = ctx.obj
    packed = pack(directory)
    env, name = options.env or "dev", packed.name
    if options.config.exists():
        plan = compile_plan(options, check_bundles=False)
        env, name = plan.env, repository_of(plan, packed.name)
    ref = open_store(registry_url(env)).push(repository or name, packed)
    if options.json:
        print_json({"reference": str(ref), "digest": ref.digest})
    else:
        print_data(str(ref))
