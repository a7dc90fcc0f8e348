"""Checking what is valid of an invalid spec, so that all problems of a file are shown at once."""

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from modelops.spec.checks import check
from modelops.spec.models import RuntimeSpec
from modelops.spec.problems import Finding, SpecPath, SpecProblem
from modelops.spec.tree import Tree

_MAX_ROUNDS = 10
# Parts that no check of another part looks at are replaced by valid ones where they are wrong.
_STAND_INS: dict[SpecPath, Any] = {
    ("apiVersion",): "modelops/v1",
    ("kind",): "Runtime",
    ("metadata",): {"name": "unnamed"},
    ("spec", "provider"): {"name": "local"},
}
_DECLARATIONS = ("workerGroups", "databases")


def check_valid_parts(
    tree: Tree, error: ValidationError, more: Callable[[RuntimeSpec], list[Finding]]
) -> list[SpecProblem]:
    """Return what the checks of a valid spec, and `more` of them, find in the valid parts.

    What depends on a part that was left out isn't reported: it may be wrong only for that.
    """
    data = _copied(tree.data)
    removed: list[SpecPath] = []
    for _ in range(_MAX_ROUNDS):
        for details in error.errors(include_url=False):
            path = path_of(details, data)
            stand_in = next((part for part in _STAND_INS if path[: len(part)] == part), None)
            if stand_in is not None:
                _put(data, stand_in, _copied(_STAND_INS[stand_in]))
                continue
            gone = path[:-1] if details["type"] == "missing" else path
            if gone and isinstance(gone[-1], int):
                # One item short, a list would be another list; without it there is none.
                gone = gone[:-1]
            if len(gone) < 3 or (len(gone) == 3 and gone[1] in _DECLARATIONS):
                # Names may be declared there; without them nothing can be said of references.
                return []
            _remove(data, gone)
            removed.append(gone)
        try:
            spec = RuntimeSpec.model_validate(data)
        except ValidationError as further:
            error = further
        else:
            # What `more` finds says itself what it follows from.
            found = [item for item in more(spec) if not _relies(item, removed)]
            found += [item for item in check(spec) if not _depends(item, removed)]
            return [tree.source.problem(item) for item in found]
    return []


def path_of(details: ErrorDetails, data: Any) -> SpecPath:
    """Return the path in the file that the location of one of Pydantic's errors means."""
    location = details["loc"]
    path: list[str | int] = []
    node = data
    for index, part in enumerate(location):
        if _has(node, part):
            node = node[part]
        elif details["type"] != "missing" or index < len(location) - 1:
            # The name of a union's branch, or the mark of a wrong key: not in the file.
            continue
        path.append(part)
    return tuple(path)


def _relies(finding: Finding, removed: list[SpecPath]) -> bool:
    """Return whether a removed part is one that a finding follows from, in it or around it."""
    return any(
        all(one == other for one, other in zip(part, gone, strict=False))
        for part in finding.relies_on
        for gone in removed
    )


def _depends(finding: Finding, removed: list[SpecPath]) -> bool:
    """Return whether a finding is about a removed part, its neighbours or what is around it."""
    path = finding.path
    return any(
        path[:-1] == gone[:-1] or path in (gone, gone[:-1]) or _constrains(path, gone)
        for gone in removed
    )


def _constrains(path: SpecPath, gone: SpecPath) -> bool:
    """Return whether `path` is of constraints between parameters of which `gone` was one."""
    around = ("spec", "algorithms", *gone[2:3], "entrypoint")
    return path[:5] == (*around, "constraints") and gone[:5] == (*around, "space")


def _has(node: object, part: str | int) -> bool:
    if isinstance(node, list):
        return isinstance(part, int) and part < len(node)
    return isinstance(node, Mapping) and part in node


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}
    return [_copied(item) for item in value] if isinstance(value, list) else value


def _put(data: Any, path: SpecPath, value: Any) -> None:
    for part in path[:-1]:
        data = data[part]
    data[path[-1]] = value


def _remove(data: Any, path: SpecPath) -> None:
    """Take a key out; what contains it may be gone already."""
    for part in path[:-1]:
        if part not in data:
            return
        data = data[part]
    data.pop(path[-1], None)
