"""`mops bundle pull` and `list`: what a registry holds."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelops.cli.options import Options
from modelops.cli.output import print_data, print_json, print_table, say

if TYPE_CHECKING:
    from modelops.bundles.listing import ListedBundle, ListedRepository

_NONE = "<none>"


def pull(
    ctx: typer.Context,
    reference: Annotated[
        str,
        typer.Argument(
            help="[oci://HOST/ | oci-layout:/PATH/]REPOSITORY, then @sha256:DIGEST or :TAG.",
            metavar="REFERENCE",
        ),
    ],
    directory: Annotated[
        Path | None,
        typer.Argument(
            help="A directory that is new or empty; named as the repository if left out.",
            metavar="DIR",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Fetch a bundle into a directory and print the directory.

    All of it is verified, and nothing is left of a pull that fails or is interrupted. Without
    oci:// or oci-layout: the bundle is in the environment's own registry.
    """
    from modelops.bundles.checkout import check_out
    from modelops.bundles.stores import resolve, store_of
    from modelops.cli.bundle_place import BundlePlace
    from modelops.cli.registry_place import registry_for
    from modelops.contracts import parse_reference

    options: Options = ctx.obj
    wanted = parse_reference(reference)
    with registry_for(wanted, BundlePlace.of(options).env) as access:
        ref = resolve(wanted, access)
        if ref != wanted:
            say(options, f"{wanted} is {ref}")
        target = directory if directory is not None else Path(ref.repository.rpartition("/")[2])
        check_out(ref, store_of(ref, access), target)
    if options.json:
        print_json({"reference": str(ref), "digest": ref.digest, "path": str(target)})
    else:
        print_data(str(target))


def list_(
    ctx: typer.Context,
    repository: Annotated[
        str | None,
        typer.Argument(help="One repository; all of them if left out.", metavar="REPOSITORY"),
    ] = None,
    sizes: Annotated[
        bool, typer.Option("--sizes", help="Show sizes too: a request for each bundle.")
    ] = False,
) -> None:
    """List what the environment's registry holds.

    Where the spec's registry has a prefix, only repositories below it are listed.
    """
    from modelops.bundles.listing import list_repositories, list_repository
    from modelops.bundles.stores import open_store
    from modelops.cli.bundle_place import BundlePlace
    from modelops.cli.registry_place import registry_of

    options: Options = ctx.obj
    place = BundlePlace.of(options)
    with registry_of(place.env) as access:
        store = open_store(access)
        if repository is None:
            found = list(list_repositories(store, place.prefix, sizes=sizes))
        else:
            found = [list_repository(store, repository, sizes=sizes)]
    if options.json:
        print_json([_to_json(item, sizes=sizes) for item in found])
        return
    columns = ("repository", "tag", "digest", *(("size",) if sizes else ()))
    print_table(columns, [row[: len(columns)] for item in found for row in _rows(item)])
    if not found:
        below = f" below {place.prefix}" if place.prefix else ""
        say(options, f"There is no bundle{below}. Push one with: mops bundle push")


def _rows(repository: "ListedRepository") -> list[tuple[str, ...]]:
    if not repository.bundles:
        return [(repository.name, _NONE, "", "")]
    return [
        (repository.name, item.stored.tag or _NONE, item.stored.ref.digest, _size(item))
        for item in repository.bundles
    ]


def _size(item: "ListedBundle") -> str:
    return "" if item.size is None else f"{item.size:,} B"


def _to_json(repository: "ListedRepository", *, sizes: bool) -> dict[str, Any]:
    return {
        "repository": repository.name,
        "bundles": [
            {
                "tag": item.stored.tag,
                "digest": item.stored.ref.digest,
                "reference": str(item.stored.ref),
                **({"size": item.size} if sizes else {}),
            }
            for item in repository.bundles
        ],
    }
