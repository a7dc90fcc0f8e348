"""`mops version`: the versions of all parts."""

import platform
from importlib.metadata import version

import typer

from modelops import __version__
from modelops.cli.options import Options
from modelops.cli.output import print_data, print_json

_PARTS = ("pulumi", "dask", "distributed", "optuna", "pydantic", "pyarrow", "numpy", "oras")

app = typer.Typer()


@app.command()
def show(ctx: typer.Context) -> None:
    """Print the versions of ModelOps and of the parts that it stands on."""
    options: Options = ctx.obj
    versions = {"modelops": __version__, "python": platform.python_version()}
    versions |= {name: version(name) for name in _PARTS}
    if options.json:
        print_json(versions)
    else:
        for name, number in versions.items():
            print_data(f"{name} {number}")
