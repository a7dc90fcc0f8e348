"""Keeping `registry.yaml` in step with the code."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from modelops.bundles.discovery import check_function, discover, discover_file, search
from modelops.bundles.registry_file import (
    REGISTRY_FILE,
    BundleRegistry,
    Kind,
    RegisteredFunction,
    check_id,
    read_registry,
    write_registry,
)
from modelops.bundles.source import module_of
from modelops.core.errors import BundleFileError, BundleNotThereError
from modelops.core.near_miss import did_you_mean_or_all

Entry = tuple[Kind, str, RegisteredFunction]
"""Of a registry: what it is, its id, where it is."""


def register(
    root: Path, kind: Kind, name: str, functions: Mapping[str, str] | None = None
) -> BundleRegistry:
    """Register a file's models or targets, write the registry and return it.

    Entries that the file had before go away if their function is gone or has another id now. In a
    bundle without a registry, what is marked in the code is registered too: it has counted so far.

    Args:
        root: the bundle's directory.
        kind: which of the file's functions.
        name: the file, relative to `root`, with /.
        functions: id → name of a function that needn't be marked; none means those that are.

    Raises:
        BundleFileError: if the file has no such function, or another file has the id already.
        ContractError: if an id can't be one.
    """
    if not (root / name).is_file():
        raise BundleFileError(f"The bundle {root} has no file {name}.")
    found = _named(root, name, functions) if functions else _marked(root, kind, name)
    registry = read_registry(root)
    if registry is None:
        registry = search(root).registry
    renamed = {item.entrypoint for item in found.values()}
    kept = {
        id_: item
        for id_, item in registry.of(kind).items()
        if item.path != name or (item.entrypoint not in renamed and stale(root, item) is None)
    }
    for id_ in found:
        if id_ in kept and kept[id_].path != name and stale(root, kept[id_]) is None:
            raise BundleFileError(
                f"The id {id_!r} is taken by {kept[id_].entrypoint}.",
                hint=f"Choose another with --id, or first run: mops bundle unregister {id_}",
            )
    changed = registry.model_copy(update={kind: {**kept, **found}})
    write_registry(root, changed)
    return changed


def unregister(root: Path, ids: Iterable[str], kind: Kind | None = None) -> BundleRegistry:
    """Take models and targets out of the registry, write it and return it.

    Args:
        root: the bundle's directory.
        ids: what to take out; nothing is if one of them isn't there.
        kind: which kind is meant; needed where both have such an id.

    Raises:
        BundleFileError: if it isn't clear which kind is meant.
        BundleNotThereError: if there is no such id, with a near miss.
    """
    registry = read_registry(root)
    if registry is None:
        raise BundleNotThereError(
            f"The bundle {root} has no {REGISTRY_FILE}: what counts is what is marked in the code.",
            hint="Write one with: mops bundle refresh",
        )
    kinds: tuple[Kind, ...] = ("models", "targets") if kind is None else (kind,)
    left: dict[str, dict[str, RegisteredFunction]] = {of: dict(registry.of(of)) for of in kinds}
    for id_ in dict.fromkeys(ids):
        of = [candidate for candidate in kinds if id_ in registry.of(candidate)]
        if not of:
            known = {known for candidate in kinds for known in registry.of(candidate)}
            what = "model or target" if kind is None else kind.removesuffix("s")
            raise BundleNotThereError(
                f"{root / REGISTRY_FILE} has no {what} {id_!r}.",
                hint=did_you_mean_or_all(id_, known),
            )
        if len(of) > 1:
            raise BundleFileError(
                f"{id_!r} is a model and a target.", hint="Say which: --kind model | target"
            )
        del left[of[0]][id_]
    changed = registry.model_copy(update=left)
    write_registry(root, changed)
    return changed


def refresh(root: Path) -> BundleRegistry:
    """Make the registry anew from the code, write it and return it.

    Entries of functions that aren't marked stay as long as the function is there.

    Raises:
        BundleFileError: if the code or the registry can't be read, or two functions have one id.
    """
    found = discover(root)
    merged: dict[str, dict[str, RegisteredFunction]] = {
        "models": dict(found.models),
        "targets": dict(found.targets),
    }
    known = {(kind, item.entrypoint) for kind, _, item in found.entries()}
    for kind, id_, item in (read_registry(root) or BundleRegistry()).entries():
        if (kind, item.entrypoint) not in known and stale(root, item) is None:
            merged[kind].setdefault(id_, item)
    registry = BundleRegistry(models=merged["models"], targets=merged["targets"])
    write_registry(root, registry)
    return registry


def set_aside(root: Path) -> Path:
    """Rename a registry that can't be read, so that it can be made anew; return where it is."""
    path = root / REGISTRY_FILE
    return path.replace(path.with_name(f"{path.name}.broken"))


def difference(
    before: BundleRegistry | None, after: BundleRegistry
) -> tuple[list[Entry], list[Entry]]:
    """Return which entries are new in `after`, and which of `before` aren't in it any more.

    An id that means another function now is in both.
    """
    old = list((before or BundleRegistry()).entries())
    new = list(after.entries())
    return [item for item in new if item not in old], [item for item in old if item not in new]


def stale(root: Path, function: RegisteredFunction) -> str | None:
    """Return what is gone of an entry, in words; None if file and function are there."""
    if not (root / function.path).is_file():
        return f"the file {function.path} is gone"
    try:
        check_function(root, function.entrypoint, REGISTRY_FILE)
    except BundleFileError as error:
        return error.message
    return None


def _named(root: Path, name: str, functions: Mapping[str, str]) -> dict[str, RegisteredFunction]:
    module = module_of(name)
    if module is None:
        raise BundleFileError(
            f"{name} can't be imported.",
            hint="Rename file and folders so that each is a Python name.",
        )
    found = {
        check_id(id_): RegisteredFunction(path=name, entrypoint=f"{module}:{function}")
        for id_, function in functions.items()
    }
    for function in found.values():
        check_function(root, function.entrypoint, "The command")
    return found


def _marked(root: Path, kind: Kind, name: str) -> dict[str, RegisteredFunction]:
    found = discover_file(root, name)[kind]
    if not found:
        word = kind.removesuffix("s")
        raise BundleFileError(
            f"{root / name} has no {word}.",
            hint=f"Mark one with @{word}, or name the function: {name}:FUNCTION",
        )
    return found
