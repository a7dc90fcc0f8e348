"""`mops version`: the versions of all parts, and the plugins that are installed."""

import platform
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import typer

from modelops import __version__
from modelops.cli.options import Options
from modelops.cli.output import print_data, print_json

if TYPE_CHECKING:
    from modelops.core.plugins import Plugin

_PARTS = ("pulumi", "dask", "distributed", "optuna", "pydantic", "pyarrow", "numpy", "oras")

app = typer.Typer()


@app.command()
def show(ctx: typer.Context) -> None:
    """Print the versions of ModelOps, of the parts that it stands on, and of its plugins."""
    from modelops.algorithms.discovery import installed_algorithms
    from modelops.calibration.discovery import installed_alignments, installed_losses
    from modelops.providers.discovery import installed_providers

    options: Options = ctx.obj
    versions = {"modelops": __version__, "python": platform.python_version()}
    versions |= {name: version(name) for name in _PARTS}
    plugins = [
        *(("provider", plugin) for plugin in installed_providers()),
        *(("algorithm", plugin) for plugin in installed_algorithms()),
        *(("loss", plugin) for plugin in installed_losses()),
        *(("alignment", plugin) for plugin in installed_alignments()),
    ]
    if options.json:
        print_json({**versions, "plugins": [_json(kind, plugin) for kind, plugin in plugins]})
        return
    for name, number in versions.items():
        print_data(f"{name} {number}")
    for kind, plugin in plugins:
        works = f"doesn't work: {plugin.problem}" if plugin.problem else ""
        package = f"({plugin.package} {plugin.version})"
        print_data(f"{kind} {plugin.name} {package} {works}".rstrip())


def _json(kind: str, plugin: "Plugin") -> dict[str, Any]:
    return {
        "kind": kind,
        "name": plugin.name,
        "package": plugin.package,
        "version": plugin.version,
        "ok": not plugin.problem,
        "reason": plugin.problem,
    }
