"""`mops bundle status`: what is registered against the code, the content against the registry."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelops.cli.options import Options
from modelops.cli.output import print_data, print_json, print_table, say
from modelops.core.errors import BundleError, BundleFileError

if TYPE_CHECKING:
    from modelops.bundles.packing import PackedBundle
    from modelops.bundles.status import Entry, PushStatus

EXIT_CHANGES = 3


@dataclass(frozen=True)
class _Pushed:
    """What is known of the registry: its address, and what it holds or why that isn't known."""

    reference: str
    registry: str = ""
    status: "PushStatus | None" = None
    problem: str = ""

    def to_json(self) -> dict[str, Any]:
        return {
            "reference": self.reference,
            "registry": self.registry or None,
            "state": "unknown" if self.status is None else self.status.state.name.lower(),
            "digest": None if self.status is None else self.status.digest,
            "problem": self.problem or None,
        }

    def in_words(self) -> str:
        if self.status is None:
            return f"{self.reference}: whether it was pushed isn't known"
        where = f"{self.reference} in {self.registry}: {self.status.state}"
        if self.status.digest is None or self.status.state == "up to date":
            return where
        return f"{where} ({self.status.digest})"


def status(
    ctx: typer.Context,
    directory: Annotated[
        Path, typer.Argument(help="A directory in the bundle.", metavar="DIR")
    ] = Path(),
    repository: Annotated[
        str | None, typer.Option(help="The repository; the bundle's name if left out.")
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Don't ask the registry.")] = False,
    exit_code: Annotated[
        bool,
        typer.Option("--exit-code", help="Exit with 3 if it isn't pushed, or entries are stale."),
    ] = False,
) -> None:
    """Show what is registered, and whether it was pushed.

    A model or target is stale if its file or function is gone. With --exit-code, 3 means that there
    is something to push or to refresh, 1 that the registry couldn't be asked.
    """
    from modelops.bundles.manifest import bundle_of, read_manifest
    from modelops.bundles.packing import pack
    from modelops.bundles.status import registered

    options: Options = ctx.obj
    root = bundle_of(directory)
    manifest = read_manifest(root)
    entries, problems = registered(root)
    packed: PackedBundle | None = None
    try:
        packed = pack(root)
    except BundleFileError as error:
        # What can't be read keeps it from being packed, and is said once.
        if not problems:
            problems.append(error)
    pushed = None if offline or packed is None else _ask(options, packed, repository)
    if options.json:
        print_json(
            {
                "bundle": str(root),
                "name": manifest.name,
                "version": manifest.version,
                "digest": None if packed is None else packed.digest,
                "entries": [_entry_json(entry) for entry in entries],
                "problems": [str(problem) for problem in problems],
                "push": None if pushed is None else pushed.to_json(),
            }
        )
    else:
        digest = "can't be packed" if packed is None else packed.digest
        print_data(f"{manifest.name} {manifest.version}   {digest}")
        if entries:
            print_table(("kind", "id", "function", "state"), [_row(entry) for entry in entries])
        if pushed is not None:
            print_data(pushed.in_words())
    _advise(options, entries, problems, pushed)
    if packed is None:
        sys.exit(2)
    if exit_code:
        sys.exit(_exit_code(entries, pushed))


def _ask(options: Options, packed: "PackedBundle", repository: str | None) -> _Pushed:
    """Return what the environment's registry holds; an error is what is known then."""
    from modelops.bundles.artifact import tag_of
    from modelops.bundles.status import push_status
    from modelops.bundles.stores import open_store
    from modelops.cli.bundle_place import BundlePlace
    from modelops.cli.registry_place import registry_of
    from modelops.core.errors import ProviderError

    place = BundlePlace.of(options)
    name = repository or place.repository(packed.name)
    reference = f"{name}:{tag_of(packed.version)}"
    try:
        with registry_of(place.env) as access:
            found = push_status(open_store(access), name, packed)
    except (BundleError, ProviderError) as error:
        return _Pushed(reference, problem=str(error))
    return _Pushed(reference, access.url, found)


def _advise(
    options: Options,
    entries: list["Entry"],
    problems: list[BundleFileError],
    pushed: _Pushed | None,
) -> None:
    from modelops.bundles.status import EntryState, PushState

    for problem in problems:
        say(options, f"error: {problem}")
    states = {entry.state for entry in entries}
    if EntryState.STALE in states:
        say(options, "Stale entries go away with: mops bundle refresh")
    if EntryState.NOT_REGISTERED in states:
        say(options, "No run can name what isn't registered. Register it: mops bundle refresh")
    if pushed is not None and pushed.problem:
        say(options, pushed.problem)
    elif pushed is not None and pushed.status and pushed.status.state is not PushState.UP_TO_DATE:
        say(options, "Push it with: mops bundle push")


def _exit_code(entries: list["Entry"], pushed: _Pushed | None) -> int:
    from modelops.bundles.status import EntryState, PushState

    if any(entry.state is EntryState.STALE for entry in entries):
        return EXIT_CHANGES
    if pushed is None:
        return 0
    if pushed.status is None:
        return 1
    return 0 if pushed.status.state is PushState.UP_TO_DATE else EXIT_CHANGES


def _row(entry: "Entry") -> tuple[str, str, str, str]:
    state = f"{entry.state}: {entry.problem}" if entry.problem else str(entry.state)
    return entry.kind.removesuffix("s"), entry.id, entry.function.entrypoint, state


def _entry_json(entry: "Entry") -> dict[str, str | None]:
    return {
        "kind": entry.kind.removesuffix("s"),
        "id": entry.id,
        **entry.function.model_dump(),
        "state": entry.state.name.lower(),
        "problem": entry.problem or None,
    }
