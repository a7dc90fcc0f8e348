"""Keeping `registry.yaml` in step with the code."""

from collections.abc import Mapping
from pathlib import Path

from modelops.bundles.discovery import check_function, discover, discover_file
from modelops.bundles.registry_file import (
    REGISTRY_FILE,
    BundleRegistry,
    Kind,
    RegisteredFunction,
    read_registry,
    write_registry,
)
from modelops.bundles.source import module_of
from modelops.core.errors import BundleFileError


def register(
    root: Path, kind: Kind, name: str, functions: Mapping[str, str] | None = None
) -> BundleRegistry:
    """Register a file's models or targets, write the registry and return it.

    Entries of that kind that the file had before go away, so that none is stale.

    Args:
        root: the bundle's directory.
        kind: which of the file's functions.
        name: the file, relative to `root`, with /.
        functions: id → name of a function that isn't marked; none means those that are.

    Raises:
        BundleFileError: if the file has no such function, or another file has the id already.
    """
    if not (root / name).is_file():
        raise BundleFileError(f"The bundle {root} has no file {name}.")
    if functions:
        module = module_of(name)
        if module is None:
            raise BundleFileError(
                f"{name} can't be imported.",
                hint="Rename file and folders so that each is a Python name.",
            )
        found = {
            id_: RegisteredFunction(path=name, entrypoint=f"{module}:{function}")
            for id_, function in functions.items()
        }
        for function in found.values():
            check_function(root, function.entrypoint, "The command")
    else:
        found = discover_file(root, name)[kind]
        if not found:
            word = kind.removesuffix("s")
            raise BundleFileError(
                f"{root / name} has no {word}.",
                hint=f"Mark one with @{word}, or name the function.",
            )
    registry = read_registry(root) or BundleRegistry()
    kept = {id_: item for id_, item in registry.of(kind).items() if item.path != name}
    for id_ in found:
        if id_ in kept:
            raise BundleFileError(f"The id {id_!r} is taken by {kept[id_].entrypoint}.")
    changed = registry.model_copy(update={kind: {**kept, **found}})
    write_registry(root, changed)
    return changed


def refresh(root: Path) -> BundleRegistry:
    """Make the registry anew from the code, write it and return it.

    Entries of functions that aren't marked stay as long as the function is there.

    Raises:
        BundleFileError: if the code can't be read or two functions have one id.
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


def stale(root: Path, function: RegisteredFunction) -> str | None:
    """Return what is gone of an entry, in words; None if file and function are there."""
    if not (root / function.path).is_file():
        return f"the file {function.path} is gone"
    try:
        check_function(root, function.entrypoint, REGISTRY_FILE)
    except BundleFileError as error:
        return error.message
    return None
