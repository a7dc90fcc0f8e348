"""Which functions of a module are marked `@model` or `@target`, by the syntax tree alone."""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from modelops.bundles.registry_file import Kind, check_id
from modelops.bundles.source import imported_names, module_statements
from modelops.contracts import ContractError
from modelops.core.errors import BundleFileError

_Decorated = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
_KINDS: Mapping[str, Kind] = {"model": "models", "target": "targets"}


@dataclass(frozen=True)
class MarkedFunction:
    """A function with a decorator of ours.

    Attributes:
        kind: whether it's a model or a target.
        id: what the decorator says, else the function's name.
        function: the function's name.
        line: of its definition.
    """

    kind: Kind
    id: str
    function: str
    line: int


def marked_functions(tree: ast.Module, file: str) -> Iterator[MarkedFunction]:
    """Yield the module's functions that are marked, in the order of the file.

    A decorator may be written `@target`, `@target("id")`, `@target(id="id")`, with a module before
    it (`@calibration.target`) and under a name that it was imported as. Methods and functions
    inside functions don't count: nothing could call them by name.

    Raises:
        BundleFileError: if an id isn't written as plain text.
    """
    origins = _origins(tree)
    for statement in module_statements(tree):
        if not isinstance(statement, ast.FunctionDef):
            continue
        for decorator in statement.decorator_list:
            call = decorator if isinstance(decorator, ast.Call) else None
            kind = _kind(call.func if call else decorator, origins)
            if kind is not None:
                name = _id(call, file) if call else None
                yield MarkedFunction(kind, name or statement.name, statement.name, statement.lineno)


def hidden_marks(tree: ast.Module) -> Iterator[tuple[str, int, str]]:
    """Yield (function, line, why) of what is marked in a place where no run can name it."""
    origins = _origins(tree)
    reachable = set(module_statements(tree))
    for node in ast.walk(tree):
        if not isinstance(node, _Decorated):
            continue
        kinds = [kind for kind in _kinds(node, origins) if kind is not None]
        if not kinds or (isinstance(node, ast.FunctionDef) and node in reachable):
            continue
        if node not in reachable:
            why = "is inside a class or a function"
        else:
            why = "is a class" if isinstance(node, ast.ClassDef) else "is async"
        yield node.name, node.lineno, f"is marked @{kinds[0].removesuffix('s')}, but {why}"


def has_other_decorators(tree: ast.Module, function: _Decorated) -> bool:
    """Return whether a function has decorators that aren't ours, and may be called in any way."""
    return None in _kinds(function, _origins(tree))


def _kinds(node: _Decorated, origins: Mapping[str, str]) -> list[Kind | None]:
    calls = (item.func if isinstance(item, ast.Call) else item for item in node.decorator_list)
    return [_kind(call, origins) for call in calls]


def _origins(tree: ast.Module) -> dict[str, str]:
    """Return what the module's imports bind: name → where it comes from, in full."""
    return imported_names(module_statements(tree))


def _kind(decorator: ast.expr, origins: Mapping[str, str]) -> Kind | None:
    parts: list[str] = []
    while isinstance(decorator, ast.Attribute):
        parts.insert(0, decorator.attr)
        decorator = decorator.value
    if not isinstance(decorator, ast.Name):
        return None
    origin = origins.get(decorator.id, decorator.id)
    # Another library's `@app.model` isn't ours; a plain name is whatever it was imported from.
    if parts and not origin.startswith((".", "modelops")) and decorator.id in origins:
        return None
    return _KINDS.get(".".join([origin, *parts]).rpartition(".")[2])


def _id(call: ast.Call, file: str) -> str | None:
    given = [item.value for item in call.keywords if item.arg == "id"] or call.args[:1]
    if not given:
        return None
    value = given[0]
    if isinstance(value, ast.Constant) and value.value is None:
        return None
    place = f"{file}:{value.lineno}:{value.col_offset + 1}"
    if not isinstance(value, ast.Constant) or not isinstance(value.value, str):
        raise BundleFileError(
            f"{place}: this id isn't plain text.",
            hint='Ids are read without running the code: write one as "text".',
        )
    try:
        return check_id(value.value)
    except ContractError as error:
        raise BundleFileError(f"{place}: {error}") from error
