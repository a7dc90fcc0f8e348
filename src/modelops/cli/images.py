"""`mops dev images`: the names of the container images."""

import shlex
from typing import Annotated

import typer

from modelops.cli.options import Options
from modelops.cli.output import print_data, print_json
from modelops.core.errors import UsageError
from modelops.core.near_miss import did_you_mean_or_all

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="The names of the container images."
)

_Profile = Annotated[
    str | None,
    typer.Option(help="The profile of modelops-images.yaml, instead of the default."),
]


@app.command("print")
def print_(
    ctx: typer.Context,
    name: Annotated[
        str | None, typer.Argument(help="scheduler, worker or runner.", metavar="[NAME]")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Print all, one a line.")] = False,
    profile: _Profile = None,
) -> None:
    """Print the reference of one image, or of all.

    MODELOPS_IMAGES_… and MODELOPS_WORKER_IMAGE and the like go before modelops-images.yaml.
    """
    from modelops.images import IMAGE_NAMES, get_image_config

    options: Options = ctx.obj
    if (name is None) != every:
        raise UsageError("Name one image, or all of them with --all.")
    chosen = [known for known in IMAGE_NAMES if every or known == name]
    if not chosen:
        raise UsageError(
            f"There is no image {name!r}.", hint=did_you_mean_or_all(name, IMAGE_NAMES)
        )
    config = get_image_config(profile)
    if options.json:
        print_json({known: config.image(known) for known in chosen})
        return
    for known in chosen:
        print_data(config.image(known) if not every else f"{known}={config.image(known)}")


@app.command("export-env")
def export_env(ctx: typer.Context, profile: _Profile = None) -> None:
    """Print what sets the variables that name the images: eval "$(mops dev images export-env)"."""
    from modelops.images import IMAGE_NAMES, get_image_config, image_variable

    options: Options = ctx.obj
    config = get_image_config(profile)
    variables = {image_variable(name): config.image(name) for name in IMAGE_NAMES}
    if options.json:
        print_json(variables)
        return
    for variable, image in variables.items():
        print_data(f"export {variable}={shlex.quote(image)}")
