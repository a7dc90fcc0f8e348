"""Keys, signatures and provenance of bundles: `mops bundle keygen`, `verify`, `push --sign`."""

import datetime
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from modelops.cli.options import Options
from modelops.cli.output import print_data, print_json, say

if TYPE_CHECKING:
    from modelops.bundles.signing_keys import SigningKey
    from modelops.bundles.stores import BundleStore, RegistryAccess
    from modelops.contracts import BundleRef
    from modelops.spec import AlgorithmPlan

PassphraseFile = Annotated[
    Path | None,
    typer.Option(
        "--passphrase-file",
        metavar="FILE",
        help="The file of the private key's passphrase. Default: that of the variable "
        "MODELOPS_SIGNING_PASSPHRASE_FILE.",
    ),
]


def keygen(
    ctx: typer.Context,
    name: Annotated[
        Path, typer.Argument(metavar="NAME", help="What both files' names begin with.")
    ] = Path("signing-key"),
    passphrase_file: PassphraseFile = None,
) -> None:
    """Make a key pair that signs bundles: NAME.pem, for you alone, and NAME.pub.

    With a passphrase, NAME.pem is encrypted. Keep it out of bundles and repositories; NAME.pub is
    what `require_signature: {publicKey: …}` and `mops bundle verify --key` name.
    """
    from modelops.bundles.manifest import MANIFEST_FILE
    from modelops.bundles.signing_keys import SigningKey
    from modelops.core.errors import SigningKeyError

    options: Options = ctx.obj
    private, public = name.with_name(f"{name.name}.pem"), name.with_name(f"{name.name}.pub")
    if (private.parent / MANIFEST_FILE).exists():
        raise SigningKeyError(
            f"{private} would be pushed with the bundle that is in that directory.",
            hint="Name a place outside of it, as in: mops bundle keygen ../signing-key",
        )
    key = SigningKey.generate()
    key.write_pair(private, public, _passphrase(passphrase_file))
    say(options, f"made {private} (private, mode 0600) and {public}: {key.public.fingerprint}")
    if options.json:
        files = {"private_key": str(private), "public_key": str(public)}
        print_json({**files, "fingerprint": key.public.fingerprint})
    else:
        print_data(str(public))


def verify(
    ctx: typer.Context,
    reference: Annotated[
        str, typer.Argument(metavar="REF", help="repository@sha256:…, oci://… or repository:tag")
    ],
    key: Annotated[Path, typer.Option("--key", metavar="FILE", help="The public key.")],
) -> None:
    """Check that a bundle is signed with a key; exit with 1, and say why, if it isn't."""
    from modelops.bundles.signatures import verify_bundle
    from modelops.bundles.signing_keys import read_public_key

    options: Options = ctx.obj
    public_key = read_public_key(key)
    with _found(options, reference) as (store, ref):
        verify_bundle(store, ref, public_key)
    say(options, f"signed with the {public_key.kind} key {public_key.fingerprint}")
    if options.json:
        print_json({"reference": str(ref), "public_key": public_key.fingerprint})
    else:
        print_data(str(ref))


def read_signing_key(path: Path, passphrase_file: Path | None, bundle: Path) -> "SigningKey":
    """Return the key to sign the bundle in a directory with.

    Raises:
        SigningKeyError: if it can't be read, or would be pushed with the bundle.
        SecretError: if the passphrase's file can't be read.
    """
    from modelops.bundles.signing_keys import SigningKey
    from modelops.bundles.tree import IGNORE_FILE, list_files
    from modelops.core.errors import SigningKeyError

    key = SigningKey.read(path, _passphrase(passphrase_file))
    if any((bundle / file.name).samefile(path) for file in list_files(bundle)):
        raise SigningKeyError(
            f"The signing key {path} would be pushed with the bundle.",
            hint=f"Move it out of {bundle}, or name it in {bundle / IGNORE_FILE}.",
        )
    return key


def note_provenance(
    options: Options, store: "BundleStore", ref: "BundleRef", directory: Path
) -> None:
    """Store where a pushed bundle comes from; if that can't be stored, say so and go on."""
    from modelops import __version__
    from modelops.bundles.provenance import Provenance, read_provenance, write_provenance
    from modelops.core.errors import BundleError

    try:
        if read_provenance(store, ref) is None:
            now = datetime.datetime.now(datetime.UTC)
            write_provenance(store, ref, Provenance.of(directory, __version__, now))
    except BundleError as error:
        # The bundle is there and whole; its provenance decides nothing.
        say(options, f"The provenance of {ref} can't be stored: {error.message}")


def refuse_unsigned(
    algorithm: "AlgorithmPlan", ref: "BundleRef", access: "RegistryAccess", directory: Path | None
) -> None:
    """Check that an algorithm's code is signed if its spec demands it, before anything of it runs.

    Args:
        algorithm: with its key, if it has one.
        ref: the code.
        access: the environment's registry.
        directory: where the code comes from, if it isn't in a registry only.

    Raises:
        SignatureError: with the command that signs it.
    """
    if algorithm.public_key is None:
        return
    from modelops.bundles.signatures import verify_bundle
    from modelops.bundles.stores import store_of
    from modelops.core.errors import SignatureError

    try:
        verify_bundle(store_of(ref, access), ref, algorithm.public_key)
    except SignatureError as error:
        if directory is None:
            raise
        raise SignatureError(
            f"spec.algorithms.{algorithm.name}: {error.message}",
            hint="Sign it as it is now, then come back: "
            f"mops bundle push --sign KEY.pem {directory}",
        ) from error


def _passphrase(file: Path | None) -> str | None:
    from modelops.bundles.signing_keys import PASSPHRASE_VARIABLE
    from modelops.contracts import SecretRef
    from modelops.core.secret_files import read_secret, secret_variable

    if file is not None:
        return read_secret("the passphrase", SecretRef("file", str(file)))
    return secret_variable(os.environ, PASSPHRASE_VARIABLE)


@contextmanager
def _found(options: Options, reference: str) -> Iterator[tuple["BundleStore", "BundleRef"]]:
    """Give a block the store of a bundle and its reference, which a tag stands for too."""
    from modelops.bundles.stores import resolve, store_of
    from modelops.cli.bundle_place import BundlePlace
    from modelops.cli.registry_place import registry_for
    from modelops.contracts import ContractError, parse_reference
    from modelops.core.errors import UsageError

    try:
        wanted = parse_reference(reference)
    except ContractError as error:
        raise UsageError(f"{reference!r} isn't a bundle: {error}") from error
    with registry_for(wanted, BundlePlace.of(options).env) as access:
        ref = resolve(wanted, access)
        yield store_of(ref, access), ref
