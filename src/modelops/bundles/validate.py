"""What is wrong with a bundle, before it is pushed and before anything runs."""

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from modelops.bundles.discovery import check_function, discover
from modelops.bundles.manifest import MANIFEST_FILE, read_manifest
from modelops.bundles.registration import stale
from modelops.bundles.registry_file import REGISTRY_FILE, BundleRegistry, read_registry
from modelops.bundles.source import file_of, find_function, parse_source
from modelops.bundles.tree import list_files
from modelops.core.errors import BundleFileError

_ARGUMENTS = ("params", "seed")


@dataclass(frozen=True)
class Finding:
    """One thing to look at: an error keeps the bundle from working, a warning may not."""

    severity: Literal["error", "warning"]
    message: str
    hint: str = ""


def validate_bundle(root: Path) -> list[Finding]:
    """Return what is wrong with the bundle in the directory `root`; nothing of it is imported.

    Checked are: the manifest; that the entrypoint's file and function are there and take
    `(params, seed)`; that everything registered is there; that there are targets; that every file
    can be packed. All that is found is returned, not the first alone.
    """
    checks: list[Callable[[Path], Iterator[Finding]]] = [_files, _manifest, _registered, _found]
    findings: list[Finding] = []
    for check in checks:
        try:
            findings.extend(check(root))
        except BundleFileError as error:
            findings.append(_error(error))
    # A file that is wrong is met by more than one check.
    return list(dict.fromkeys(findings))


def _files(root: Path) -> Iterator[Finding]:
    list_files(root)
    yield from ()


def _manifest(root: Path) -> Iterator[Finding]:
    fn_ref = read_manifest(root).entrypoint
    check_function(root, fn_ref, str(root / MANIFEST_FILE))
    yield from _signature(root, fn_ref)


def _signature(root: Path, fn_ref: str) -> Iterator[Finding]:
    """Check how a model is called, as far as its definition is in its own module."""
    module, _, name = fn_ref.partition(":")
    path = file_of(root, module)
    if path is None:
        return
    function = find_function(parse_source(root / path), name)
    if function is None:
        return
    where = f"{path}:{function.lineno}: {name}"
    hint = f"Write: def {name}({', '.join(_ARGUMENTS)}):"
    if isinstance(function, ast.AsyncFunctionDef):
        yield Finding("error", f"{where} is async, which a model can't be", hint)
        return
    arguments = function.args
    positional = [item.arg for item in (*arguments.posonlyargs, *arguments.args)]
    required = len(positional) - len(arguments.defaults)
    unfilled = [
        item.arg
        for item, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
        if default is None
    ]
    takes_two = len(positional) >= len(_ARGUMENTS) or arguments.vararg is not None
    if not takes_two or required > len(_ARGUMENTS) or unfilled:
        yield Finding("error", f"{where} can't be called with two arguments, params and seed", hint)


def _registered(root: Path) -> Iterator[Finding]:
    registry = read_registry(root)
    if registry is None:
        return
    for kind, name, function in registry.entries():
        gone = stale(root, function)
        if gone is not None:
            what = f"{REGISTRY_FILE}: {kind}.{name} is stale: {gone}"
            yield Finding("error", what, "Run: mops bundle refresh")
        elif kind == "models":
            yield from _signature(root, function.entrypoint)


def _found(root: Path) -> Iterator[Finding]:
    found = discover(root)
    registry = read_registry(root)
    known = found if registry is None else registry
    yield from _unregistered(found, known, read_manifest(root).entrypoint)
    if not known.targets:
        yield Finding(
            "warning",
            "The bundle has no targets: it can be run, but nothing can be calibrated with it.",
            "Mark a function that returns a Target with @target.",
        )


def _unregistered(
    found: BundleRegistry, known: BundleRegistry, entrypoint: str
) -> Iterator[Finding]:
    registered = {(kind, function.entrypoint) for kind, _, function in known.entries()}
    # The entrypoint is what runs where no model is named: it needs no id.
    registered.add(("models", entrypoint))
    for kind, name, function in found.entries():
        if (kind, function.entrypoint) not in registered:
            what = f"{function.path}: {kind}.{name} isn't in {REGISTRY_FILE}, so no run can name it"
            yield Finding("warning", what, "Run: mops bundle refresh")


def _error(error: BundleFileError) -> Finding:
    return Finding("error", error.message, error.hint)
