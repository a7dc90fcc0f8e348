"""Which models and targets a bundle has, and what function an id means."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from modelops.bundles.decorators import marked_functions
from modelops.bundles.manifest import MANIFEST_FILE, read_manifest
from modelops.bundles.registry_file import (
    REGISTRY_FILE,
    BundleRegistry,
    Kind,
    RegisteredFunction,
    read_registry,
)
from modelops.bundles.source import defined_functions, defines, file_of, module_of, parse_source
from modelops.bundles.tree import BundleFile, list_files
from modelops.core.errors import BundleFileError
from modelops.core.near_miss import did_you_mean_or_all

_SINGULAR = {"models": "model", "targets": "target"}


@dataclass(frozen=True)
class Discovery:
    """The models and targets that were found, and an error for each thing that couldn't be read."""

    registry: BundleRegistry
    problems: tuple[BundleFileError, ...] = ()


def discover(root: Path, files: Sequence[BundleFile] | None = None) -> BundleRegistry:
    """Return the models and targets that the code of the bundle in `root` has.

    These are the functions marked `@model` and `@target`, and the manifest's entrypoint under its
    function's name (unless it is marked, or another model has that id). The code isn't imported.

    Args:
        root: the bundle's directory.
        files: the bundle's files, if they are listed already.

    Raises:
        BundleFileError: if files aren't Python, ids are there twice, or marked functions are in
            files that can't be imported. All of it is named.
    """
    found = search(root, files)
    if len(found.problems) > 1:
        listed = [f"  {problem.message} {problem.hint}".rstrip() for problem in found.problems]
        raise BundleFileError("\n".join([f"The code in {root} can't be read:", *listed]))
    for problem in found.problems:
        raise problem
    return found.registry


def search(root: Path, files: Sequence[BundleFile] | None = None) -> Discovery:
    """Return the models and targets of a bundle, as `discover` does, as far as they can be read.

    Raises:
        BundleFileError: if the bundle's files can't be listed or its manifest can't be read.
    """
    found: dict[Kind, dict[str, RegisteredFunction]] = {"models": {}, "targets": {}}
    problems: list[BundleFileError] = []
    listed = list_files(root) if files is None else files
    for file in listed:
        if not file.name.endswith(".py"):
            continue
        try:
            for kind, functions in discover_file(root, file.name).items():
                _add(found[kind], functions, kind)
        except BundleFileError as error:
            problems.append(error)
    models = found["models"]
    entrypoint = read_manifest(root).entrypoint
    module, _, function = entrypoint.partition(":")
    path = file_of(root, module)
    known = {registered.entrypoint for registered in models.values()}
    is_packed = any(file.name == path for file in listed)
    if path is not None and is_packed and entrypoint not in known and function not in models:
        models[function] = RegisteredFunction(path=path, entrypoint=entrypoint)
    return Discovery(BundleRegistry(models=models, targets=found["targets"]), tuple(problems))


def discover_file(root: Path, name: str) -> dict[Kind, dict[str, RegisteredFunction]]:
    """Return the marked functions of one file, `name` relative to `root` with /.

    Raises:
        BundleFileError: as for `discover`.
    """
    found: dict[Kind, dict[str, RegisteredFunction]] = {"models": {}, "targets": {}}
    path = root / name
    if not may_mark(path):
        return found
    module = module_of(name)
    for marked in marked_functions(parse_source(path), str(path)):
        if module is None:
            raise BundleFileError(
                f"{path}:{marked.line}: {marked.function} is a {_SINGULAR[marked.kind]}, but no "
                "module can have this path.",
                hint="Rename file and folders so that each is a Python name.",
            )
        function = RegisteredFunction(path=name, entrypoint=f"{module}:{marked.function}")
        _add(found[marked.kind], {marked.id: function}, marked.kind)
    return found


def may_mark(path: Path) -> bool:
    """Return whether a file may mark a function, by its bytes alone.

    Most files mark nothing, and parsing them all would cost more than the rest of a push.

    Raises:
        BundleFileError: if it can't be read.
    """
    content = _read(path)
    return any(word in content for word in (b"model", b"target"))


def effective_registry(root: Path) -> BundleRegistry:
    """Return what `registry.yaml` says or, where there is none, what the code has.

    Raises:
        BundleFileError: if the one that counts is invalid.
    """
    registry = read_registry(root)
    return discover(root) if registry is None else registry


def resolve_model(root: Path, model_id: str | None) -> str:
    """Return `module:function` of a model; None is the manifest's entrypoint.

    Raises:
        BundleFileError: if there is no such model (with a near miss), or its function is gone.
    """
    if model_id is None:
        entrypoint = read_manifest(root).entrypoint
        check_function(root, entrypoint, str(root / MANIFEST_FILE))
        return entrypoint
    return _resolve(root, "models", [model_id])[model_id]


def resolve_targets(root: Path, ids: Iterable[str]) -> dict[str, str]:
    """Return id → `module:function` of targets, in the order of `ids`; no ids means all, sorted.

    Raises:
        BundleFileError: if there is no such target (with a near miss), or its function is gone.
    """
    return _resolve(root, "targets", list(ids))


def check_function(root: Path, fn_ref: str, where: str) -> None:
    """Check that the bundle in `root` has the function that `where` names.

    Raises:
        BundleFileError: if the module isn't in the bundle or hasn't that name.
    """
    module, _, qualified = fn_ref.partition(":")
    path = file_of(root, module)
    if path is None:
        raise BundleFileError(
            f"{where} names {fn_ref}, but the bundle has no module {module}.",
            hint=did_you_mean_or_all(module, _modules(root)),
        )
    tree = parse_source(root / path)
    if not defines(tree, qualified.partition(".")[0]):
        raise BundleFileError(
            f"{where} names {fn_ref}, but {path} has no {qualified}.",
            hint=did_you_mean_or_all(qualified, defined_functions(tree)),
        )


def _resolve(root: Path, kind: Kind, ids: list[str]) -> dict[str, str]:
    functions = effective_registry(root).of(kind)
    for name in ids:
        if name not in functions:
            raise _unknown(root, kind, name, functions)
    resolved = {name: functions[name].entrypoint for name in ids or sorted(functions)}
    for name, entrypoint in resolved.items():
        check_function(root, entrypoint, f"The {_SINGULAR[kind]} {name!r} of the bundle {root}")
    return resolved


def _unknown(root: Path, kind: Kind, name: str, known: Iterable[str]) -> BundleFileError:
    message = f"The bundle {root} has no {_SINGULAR[kind]} {name!r}."
    if (root / REGISTRY_FILE).exists() and name in discover(root).of(kind):
        return BundleFileError(
            f"{message} The code has it, but {REGISTRY_FILE} doesn't.",
            hint="Run: mops bundle refresh",
        )
    return BundleFileError(message, hint=did_you_mean_or_all(name, known))


def _add(
    known: dict[str, RegisteredFunction], more: dict[str, RegisteredFunction], kind: Kind
) -> None:
    for name, function in more.items():
        if name in known:
            raise BundleFileError(
                f"Two {kind} have the id {name!r}: {known[name].entrypoint} and "
                f"{function.entrypoint}.",
                hint=f'Give one of them another id: @{_SINGULAR[kind]}("another")',
            )
        known[name] = function


def _modules(root: Path) -> list[str]:
    modules = (module_of(file.name) for file in list_files(root))
    return [module for module in modules if module is not None]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BundleFileError(f"{path} can't be read: {error}") from error
