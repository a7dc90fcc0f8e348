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
    from modelops.cli.spec_file import compile_plan
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
    """Print the spec with every default filled in; an invalid one is refused."""
    from modelops.cli.spec_file import compile_plan, read_spec
    from modelops.spec import to_data, to_yaml

    options: Options = ctx.obj
    # What doesn't belong into the file, such as a password, isn't printed either.
    compile_plan(options, check_bundles=False)
    spec = read_spec(options)
    if options.json:
        print_json(to_data(spec))
    else:
        print_data(to_yaml(spec).rstrip("\n"))


@app.command()
def schema() -> None:
    """Print the JSON Schema, for editors that complete and check the file."""
    from modelops.cli.spec_file import installed
    from modelops.spec import json_schema

    print_json(json_schema(installed()))
