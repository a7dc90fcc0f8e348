"""`mops spec`: check, show and describe the RuntimeSpec."""

import sys
from dataclasses import asdict

import typer

from modelops.cli.options import Options
from modelops.cli.output import print_data, print_json, say

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The RuntimeSpec.")


@app.command()
def validate(ctx: typer.Context) -> None:
    """Check the file, its references and its bundles; every error is shown at once."""
    from modelops.cli.session import compile_plan
    from modelops.spec import InvalidSpecError

    options: Options = ctx.obj
    try:
        plan = compile_plan(options)
    except InvalidSpecError as error:
        if not options.json:
            raise
        print_json({"valid": False, "problems": [asdict(problem) for problem in error.problems]})
        sys.exit(error.exit_code)
    if options.json:
        print_json({"valid": True, "name": plan.name, "env": plan.env})
    else:
        say(options, f"{options.config} is valid.")


@app.command()
def show(ctx: typer.Context) -> None:
    """Print the spec with every default filled in."""
    from modelops.spec import load, to_yaml

    options: Options = ctx.obj
    spec = load(options.config, env=options.env, provider=options.provider)
    if options.json:
        print_json(spec.model_dump(mode="json", by_alias=True))
    else:
        print_data(to_yaml(spec).rstrip("\n"))


@app.command()
def schema() -> None:
    """Print the JSON Schema, for editors that complete and check the file."""
    from modelops.spec import json_schema

    print_json(json_schema())
