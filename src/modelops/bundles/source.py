"""Reading a bundle's Python by its syntax tree: nothing of it is imported or run."""

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from modelops.core.errors import BundleFileError

_Function = ast.FunctionDef | ast.AsyncFunctionDef


def parse_source(path: Path) -> ast.Module:
    """Return the syntax tree of a Python file.

    Raises:
        BundleFileError: if it can't be read or isn't Python, with line and column.
    """
    try:
        return ast.parse(path.read_bytes(), filename=str(path))
    except SyntaxError as error:
        place = f":{error.lineno}:{error.offset}" if error.lineno else ""
        raise BundleFileError(f"{path}{place}: this isn't valid Python: {error.msg}") from error
    except (OSError, ValueError, RecursionError, MemoryError) as error:
        raise BundleFileError(f"{path} can't be read as Python: {error}") from error


def module_of(name: str) -> str | None:
    """Return the module that a file of the bundle is, or None if no module has such a path."""
    path = PurePosixPath(name)
    if path.suffix != ".py":
        return None
    parts = [*path.parent.parts, path.stem]
    if parts[-1] == "__init__":
        parts.pop()
    return ".".join(parts) if parts and all(part.isidentifier() for part in parts) else None


def file_of(root: Path, module: str) -> str | None:
    """Return the file (relative to `root`, with /) of a module; None if the bundle has none."""
    base = module.replace(".", "/")
    # A package goes before a module of the same name, as when it's imported.
    for name in (f"{base}/__init__.py", f"{base}.py"):
        if (root / name).is_file():
            return name
    return None


def module_statements(tree: ast.Module) -> Iterator[ast.stmt]:
    """Yield the statements of a module that run when it is imported, in if, try and with too."""
    yield from _statements(tree.body)


def find_function(tree: ast.Module, name: str) -> _Function | None:
    """Return the definition of a function of the module, the last one; None if there is none."""
    found = None
    for statement in module_statements(tree):
        if isinstance(statement, _Function) and statement.name == name:
            found = statement
    return found


def defines(tree: ast.Module, name: str) -> bool:
    """Return whether the module has the name: defined, assigned or imported.

    After `from … import *` any name may be there, so that it counts as being there.
    """
    return any(name in names or "*" in names for names in map(_bound, module_statements(tree)))


def defined_functions(tree: ast.Module) -> set[str]:
    """Return the names of the functions that the module defines."""
    return {item.name for item in module_statements(tree) if isinstance(item, _Function)}


def imported_names(nodes: Iterable[ast.AST]) -> dict[str, str]:
    """Return what the imports among the nodes bind: name → where it comes from, in full."""
    origins = {}
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.partition(".")[0]
                origins[alias.asname or top] = alias.name if alias.asname else top
        elif isinstance(node, ast.ImportFrom):
            source = "." * node.level + (node.module or "")
            for alias in node.names:
                origins[alias.asname or alias.name] = f"{source}.{alias.name}"
    return origins


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    for statement in body:
        yield statement
        if isinstance(statement, (_Function, ast.ClassDef)):
            continue
        for field in ("body", "orelse", "finalbody"):
            yield from _statements(getattr(statement, field, []))
        for part in (*getattr(statement, "handlers", []), *getattr(statement, "cases", [])):
            yield from _statements(part.body)


def _bound(statement: ast.stmt) -> set[str]:
    """Return the names that a statement binds in its module."""
    if isinstance(statement, (_Function, ast.ClassDef)):
        return {statement.name}
    if isinstance(statement, (ast.Import, ast.ImportFrom)):
        return {alias.asname or alias.name.partition(".")[0] for alias in statement.names}
    if isinstance(statement, ast.Assign):
        targets: list[ast.expr] = statement.targets
    elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
        targets = [statement.target]
    else:
        return set()
    names = (node for target in targets for node in ast.walk(target))
    return {node.id for node in names if isinstance(node, ast.Name)}
