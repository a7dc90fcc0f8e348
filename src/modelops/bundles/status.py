"""How a bundle stands: its registry against its code, its content against what was pushed."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from modelops.bundles.artifact import tag_of
from modelops.bundles.bundle_store import BundleStore
from modelops.bundles.discovery import check_function, search
from modelops.bundles.manifest import MANIFEST_FILE, read_manifest
from modelops.bundles.packing import PackedBundle
from modelops.bundles.registration import stale
from modelops.bundles.registry_file import Kind, RegisteredFunction, read_registry
from modelops.contracts import BundleRef
from modelops.core.errors import BundleFileError, BundleNotThereError


class EntryState(StrEnum):
    """How an entry of the registry stands to the code."""

    REGISTERED = "registered"
    MARKED = "marked in the code"
    """There is no registry, so that the code's own marks count."""
    STALE = "stale"
    NOT_REGISTERED = "not registered"


class PushState(StrEnum):
    """How a bundle's content stands to what a registry holds."""

    UP_TO_DATE = "up to date"
    CHANGED = "changed since it was pushed"
    TAG_MOVED = "pushed, but its version names another content"
    NEVER = "never pushed"


@dataclass(frozen=True)
class Entry:
    """A model or a target; `problem` says what is gone of a stale one."""

    kind: Kind
    id: str
    function: RegisteredFunction
    state: EntryState
    problem: str = ""


@dataclass(frozen=True)
class PushStatus:
    """What a registry holds of a bundle; `digest` is what the version's tag names, if anything."""

    state: PushState
    digest: str | None = None


def registered(root: Path) -> tuple[list[Entry], list[BundleFileError]]:
    """Return a bundle's models and targets, and an error for each file that can't be read.

    Entries of the registry come first, then what is marked in the code and isn't registered.

    Raises:
        BundleFileError: if manifest or registry can't be read, or the files can't be listed.
    """
    manifest = read_manifest(root)
    found = search(root)
    problems = list(found.problems)
    try:
        check_function(root, manifest.entrypoint, str(root / MANIFEST_FILE))
    except BundleFileError as error:
        problems.append(error)
    registry = read_registry(root)
    if registry is None:
        marked = found.registry.entries()
        return [Entry(*item, state=EntryState.MARKED) for item in marked], problems
    entries = []
    for kind, id_, function in registry.entries():
        gone = stale(root, function) or ""
        state = EntryState.STALE if gone else EntryState.REGISTERED
        entries.append(Entry(kind, id_, function, state, gone))
    known = {(kind, function.entrypoint) for kind, _, function in registry.entries()}
    # The entrypoint is what runs where no model is named: it needs no id.
    known.add(("models", manifest.entrypoint))
    entries += [
        Entry(kind, id_, function, EntryState.NOT_REGISTERED)
        for kind, id_, function in found.registry.entries()
        if (kind, function.entrypoint) not in known
    ]
    return entries, problems


def push_status(store: BundleStore, repository: str, packed: PackedBundle) -> PushStatus:
    """Return what a store holds of a bundle, under its version's tag and under its digest.

    Raises:
        BundleError: if the store can't be asked.
    """
    try:
        named = store.resolve(repository, tag_of(packed.version)).digest
    except BundleNotThereError:
        named = None
    if named == packed.digest:
        return PushStatus(PushState.UP_TO_DATE, named)
    try:
        store.read_manifest(BundleRef(repository, packed.digest))
    except BundleNotThereError:
        return PushStatus(PushState.NEVER if named is None else PushState.CHANGED, named)
    return PushStatus(PushState.TAG_MOVED, named)
