"""`mops bundle`: make, check and push model code."""

from pathlib import Path
from typing import Annotated

import typer

from modelops.cli import registration
from modelops.cli.bundle_pull import list_, pull
from modelops.cli.bundle_status import status
from modelops.cli.check import check
from modelops.cli.options import Options
from modelops.cli.output import print_data, print_json, say
from modelops.cli.signing import PassphraseFile, keygen, note_provenance, read_signing_key, verify

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
    from modelops.cli.findings import report_findings

    report_findings(ctx.obj, directory)


app.command("register-model")(registration.register_model)
app.command("register-target")(registration.register_target)
app.command()(registration.unregister)
app.command()(registration.refresh)
app.command()(status)
app.command()(check)


@app.command()
def push(
    ctx: typer.Context,
    directory: _Directory = Path(),
    repository: Annotated[
        str | None, typer.Option(help="The repository; the bundle's name if left out.")
    ] = None,
    sign: Annotated[
        Path | None,
        typer.Option("--sign", metavar="KEY", help="Sign it with this Ed25519 key (PEM)."),
    ] = None,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Push a bundle and print its reference.

    It goes to the environment's registry. A bundle that isn't valid isn't pushed. The environment
    and the registry's prefix are those of the spec, if there is one. Where the bundle comes from
    (git's commit, who, when) is stored beside it.
    """
    from modelops.bundles.pushing import BundlePush
    from modelops.bundles.stores import open_store
    from modelops.bundles.validate import refuse_invalid
    from modelops.cli.bundle_place import BundlePlace
    from modelops.cli.registry_place import registry_of
    from modelops.cli.transfer_bar import transfer_bar

    options: Options = ctx.obj
    place = BundlePlace.of(options)
    refuse_invalid(directory)
    key = None if sign is None else read_signing_key(sign, passphrase_file, directory)
    bundle = BundlePush(directory)
    signed = {}
    with registry_of(place.env) as access:
        store = open_store(access)
        with transfer_bar(options, f"pushing {bundle.name}") as progress:
            ref = bundle.to(store, repository or place.repository(bundle.name), progress)
        note_provenance(options, store, ref, directory)
        if key is not None:
            from modelops.bundles.signatures import sign_bundle

            sign_bundle(store, ref, key)
            say(options, f"signed with {key.public.fingerprint}")
            signed = {"public_key": key.public.fingerprint}
    if options.json:
        print_json({"reference": str(ref), "digest": ref.digest, **signed})
    else:
        print_data(str(ref))


app.command()(pull)
app.command("list")(list_)
app.command()(keygen)
app.command()(verify)
