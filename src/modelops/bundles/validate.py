"""What is wrong with a bundle, before it is pushed and before anything runs."""

import ast
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from modelops.bundles.decorators import has_other_decorators, hidden_marks
from modelops.bundles.discovery import check_function, may_mark, search
from modelops.bundles.manifest import MANIFEST_FILE, read_manifest
from modelops.bundles.registration import stale
from modelops.bundles.registry_file import REGISTRY_FILE, BundleRegistry, Kind, read_registry
from modelops.bundles.source import file_of, find_function, parse_source
from modelops.bundles.tree import IGNORE_FILE, list_files
from modelops.core.errors import BundleFileError

_ARGUMENTS: Mapping[Kind, tuple[str, ...]] = {"models": ("params", "seed"), "targets": ()}


@dataclass(frozen=True)
class Finding:
    """One thing to look at: an error keeps the bundle from working, a warning may not."""

    severity: Literal["error", "warning"]
    message: str
    hint: str = ""


def validate_bundle(root: Path) -> list[Finding]:
    """Return what is wrong with the bundle in the directory `root`; nothing of it is imported.

    Checked are: the manifest; that the entrypoint's file and function are there; that everything
    registered is there; that models take `(params, seed)` and targets nothing; that there are
    targets; that every file can be packed. All that is found is returned, not the first alone.
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


def refuse_invalid(root: Path) -> None:
    """Check a bundle as `validate_bundle` does; warnings pass.

    Raises:
        BundleFileError: with every error.
    """
    errors = [finding for finding in validate_bundle(root) if finding.severity == "error"]
    if errors:
        listed = "\n".join(f"  {finding.message} {finding.hint}".rstrip() for finding in errors)
        raise BundleFileError(f"The bundle {root} isn't valid:\n{listed}")


def _files(root: Path) -> Iterator[Finding]:
    names = {file.name for file in list_files(root)}
    if (root / REGISTRY_FILE).exists() and REGISTRY_FILE not in names:
        yield Finding(
            "error",
            f"{REGISTRY_FILE} isn't packed, so that the bundle would have other models and targets "
            "where it runs.",
            f"Name something narrower in {IGNORE_FILE}.",
        )


def _manifest(root: Path) -> Iterator[Finding]:
    fn_ref = read_manifest(root).entrypoint
    check_function(root, fn_ref, str(root / MANIFEST_FILE))
    yield from _signature(root, "models", fn_ref)


def _signature(root: Path, kind: Kind, fn_ref: str) -> Iterator[Finding]:
    """Check that a function can be called as its kind is, if its own module defines it."""
    module, _, name = fn_ref.partition(":")
    path = file_of(root, module)
    if path is None:
        return
    tree = parse_source(root / path)
    function = find_function(tree, name)
    if function is None or has_other_decorators(tree, function):
        return
    where = f"{path}:{function.lineno}: {name}"
    given = _ARGUMENTS[kind]
    hint = f"Write: def {name}({', '.join(given)}):"
    if isinstance(function, ast.AsyncFunctionDef):
        what = kind.removesuffix("s")
        yield Finding("error", f"{where} is async, which a {what} can't be", hint)
        return
    arguments = function.args
    positional = [item.arg for item in (*arguments.posonlyargs, *arguments.args)]
    required = len(positional) - len(arguments.defaults)
    unfilled = [
        item.arg
        for item, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
        if default is None
    ]
    takes_all = len(positional) >= len(given) or arguments.vararg is not None
    if not takes_all or required > len(given) or unfilled:
        how = f"with two arguments, {' and '.join(given)}" if given else "without arguments"
        yield Finding("error", f"{where} can't be called {how}", hint)


def _registered(root: Path) -> Iterator[Finding]:
    registry = read_registry(root)
    known = search(root).registry if registry is None else registry
    for kind, name, function in known.entries():
        gone = None if registry is None else stale(root, function)
        if gone is not None:
            what = f"{REGISTRY_FILE}: {kind}.{name} is stale: {gone}"
            yield Finding("error", what, "Run: mops bundle refresh")
        else:
            yield from _signature(root, kind, function.entrypoint)


def _found(root: Path) -> Iterator[Finding]:
    found = search(root)
    for problem in found.problems:
        yield _error(problem)
    yield from _hidden(root)
    registry = read_registry(root)
    known = found.registry if registry is None else registry
    yield from _unregistered(found.registry, known, read_manifest(root).entrypoint)
    if not known.targets:
        yield Finding(
            "warning",
            "The bundle has no targets: it can be run, but nothing can be calibrated with it.",
            "Mark a function that returns a Target with @target.",
        )


def _hidden(root: Path) -> Iterator[Finding]:
    for file in list_files(root):
        # Parsing every file of a bundle would take longer than all other checks.
        if not file.name.endswith(".py") or not may_mark(file.path):
            continue
        try:
            tree = parse_source(file.path)
        except BundleFileError:
            continue  # said already
        for name, line, why in hidden_marks(tree):
            yield Finding(
                "warning",
                f"{file.name}:{line}: {name} {why}: it isn't found, and no run can name it",
                "Mark a plain function at the top of the module.",
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
