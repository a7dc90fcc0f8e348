"""`mops bundle register-model`, `register-target`, `unregister`, `refresh`: registry.yaml."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, get_args

import typer

from modelops.cli.options import Options
from modelops.cli.output import print_json, say
from modelops.core.errors import UsageError

if TYPE_CHECKING:
    from modelops.bundles.registration import Entry
    from modelops.bundles.registry_file import BundleRegistry, Kind

_Singular = Literal["model", "target"]

_Source = Annotated[
    str,
    typer.Argument(
        help="The file, and the function where it isn't marked in the code.",
        metavar="FILE[:FUNCTION]",
    ),
]
_Id = Annotated[
    str | None,
    typer.Option("--id", help="The function's id; its name if left out.", metavar="ID"),
]


def register_model(ctx: typer.Context, source: _Source, id_: _Id = None) -> None:
    """Give models of a file ids that a run can name.

    FILE alone registers the functions marked @model; FILE:FUNCTION one that needn't be marked. What
    the file had registered before and hasn't any more goes away. The code isn't run.
    """
    _register(ctx.obj, "models", source, id_)


def register_target(ctx: typer.Context, source: _Source, id_: _Id = None) -> None:
    """Give targets of a file ids that a run can name.

    FILE alone registers the functions marked @target; FILE:FUNCTION one that needn't be marked.
    What the file had registered before and hasn't any more goes away. The code isn't run.
    """
    _register(ctx.obj, "targets", source, id_)


def unregister(
    ctx: typer.Context,
    ids: Annotated[list[str], typer.Argument(help="Models and targets.", metavar="ID")],
    kind: Annotated[
        str | None,
        typer.Option(help="Which kind, where both have such an id.", metavar="model|target"),
    ] = None,
    directory: Annotated[
        Path,
        typer.Option("--bundle", help="A directory in the bundle.", metavar="DIR"),
    ] = Path(),
) -> None:
    """Take ids out of the bundle's registry.

    Nothing is changed if one of them isn't there. The code stays as it is: what is marked in it
    comes back with `mops bundle refresh`.
    """
    from modelops.bundles import registration
    from modelops.bundles.manifest import bundle_of
    from modelops.bundles.registry_file import read_registry

    if kind is not None and kind not in get_args(_Singular):
        raise UsageError(f"There is no kind {kind!r}.", hint="Write --kind model or --kind target.")
    root = bundle_of(directory)
    before = read_registry(root)
    of: Kind | None = None if kind is None else "models" if kind == "model" else "targets"
    _report(ctx.obj, root, before, registration.unregister(root, ids, of))


def refresh(
    ctx: typer.Context,
    directory: Annotated[
        Path, typer.Argument(help="A directory in the bundle.", metavar="DIR")
    ] = Path(),
) -> None:
    """Make the bundle's registry anew from the code.

    It has what is marked, and what was registered by name and is still there. A registry that can't
    be read is kept beside the new one, as registry.yaml.broken.
    """
    from modelops.bundles import registration
    from modelops.bundles.discovery import discover
    from modelops.bundles.manifest import bundle_of
    from modelops.bundles.registry_file import read_registry
    from modelops.core.errors import BundleFileError

    options: Options = ctx.obj
    root = bundle_of(directory)
    try:
        before = read_registry(root)
    except BundleFileError as error:
        discover(root)  # It stays as long as no new one can be made.
        say(options, f"{error.message}\nIt is {registration.set_aside(root)} now.")
        before = None
    _report(options, root, before, registration.refresh(root))


def _register(options: Options, kind: "Kind", source: str, id_: str | None) -> None:
    from modelops.bundles import registration
    from modelops.bundles.manifest import bundle_of
    from modelops.bundles.registry_file import read_registry

    path, function = _split(source)
    root = bundle_of(path.parent)
    # Not resolved, as in `bundle_of`.
    name = Path(os.path.relpath(path, root)).as_posix()
    if function is None and id_ is not None:
        raise UsageError("--id is for one function.", hint=f"Name it: {source}:FUNCTION --id {id_}")
    functions = None if function is None else {id_ or function: function}
    before = read_registry(root)
    _report(options, root, before, registration.register(root, kind, name, functions))


def _split(source: str) -> tuple[Path, str | None]:
    """Return the file and the function; a file's name may hold a colon."""
    file, colon, function = source.rpartition(":")
    if not colon or Path(source).exists():
        return Path(source), None
    if not file or not function:
        raise UsageError(
            f"{source!r} isn't a file and a function.", hint="Write FILE:FUNCTION, or FILE alone."
        )
    return Path(file), function


def _report(
    options: Options, root: Path, before: "BundleRegistry | None", after: "BundleRegistry"
) -> None:
    from modelops.bundles.registration import difference
    from modelops.bundles.registry_file import REGISTRY_FILE

    added, removed = difference(before, after)
    if options.json:
        print_json(
            {
                "bundle": str(root),
                "registry": after.to_json(),
                "added": [_entry_json(entry) for entry in added],
                "removed": [_entry_json(entry) for entry in removed],
            }
        )
    for kind, id_, function in removed:
        say(options, f"removed {kind.removesuffix('s')} {id_} ({function.entrypoint})")
    for kind, id_, function in added:
        say(options, f"added {kind.removesuffix('s')} {id_} ({function.entrypoint})")
    if not added and not removed:
        say(options, f"{root / REGISTRY_FILE} is as it was.")


def _entry_json(entry: "Entry") -> dict[str, str]:
    kind, id_, function = entry
    return {"kind": kind.removesuffix("s"), "id": id_, **function.model_dump()}
