"""Who manages which field of an object, by its `metadata.managedFields`.

The format is FieldsV1, a tree whose edges are `f:name` (structured-merge-diff).
"""

import copy
from collections.abc import Iterable
from typing import Any

from kubernetes_provider.changes import parsed
from kubernetes_provider.objects import at
from kubernetes_provider.properties import Object

CREATOR = "pulumi-kubernetes"
"""The field manager of what is created, by a plain POST, before it is first applied."""

_EARLIER = {
    ("kubectl", "Apply"),
    ("kubectl", "Update"),
    ("before-first-apply", "Update"),
    (CREATOR, "Update"),
    ("pulumi-resource-kubernetes", "Update"),
}


def taken_over(live: Object, manager: str) -> list[dict[str, Any]] | None:
    """Return the JSON patch that gives a manager what earlier ones of ours have; None if none has.

    Otherwise the first apply after a creation would share its fields with the creator, which would
    keep those that the program then drops.
    """
    entries = at(live, "metadata", "managedFields") or []
    ours = [each for each in entries if _is_earlier(each)]
    if not ours:
        return None
    kept = [each for each in entries if not _is_earlier(each)]
    target = next((e for e in kept if _is_of(e, manager)), None)
    if target is None:
        target = {**ours[0], "manager": manager, "operation": "Apply"}
        kept.append(target)
    target["fieldsV1"] = _union([target.get("fieldsV1"), *(e.get("fieldsV1") for e in ours)])
    return [
        {"op": "replace", "path": "/metadata/managedFields", "value": kept},
        {
            "op": "replace",
            "path": "/metadata/resourceVersion",
            "value": live["metadata"]["resourceVersion"],
        },
    ]


def without_ignored(inputs: Object, live: Object, manager: str, ignored: Iterable[str]) -> Object:
    """Return inputs to apply so that ignored fields stay as they are.

    One that is only somebody else's is left out, so that it isn't taken from them; any other goes
    in with its present value. Paths through lists or quoted names are left as they are.
    """
    done = copy.deepcopy(inputs)
    entries = at(live, "metadata", "managedFields") or []
    ours = [e.get("fieldsV1") for e in entries if e.get("manager") == manager]
    theirs = [e.get("fieldsV1") for e in entries if e.get("manager") != manager]
    for path in ignored:
        steps = parsed(path)
        if "[" in path:
            continue
        value = at(live, *steps)
        if _manage(theirs, steps) and not _manage(ours, steps):
            _remove(done, steps)
        elif value is not None:
            _put(done, steps, copy.deepcopy(value))
    return done


def must_force(inputs_force: bool, live: Object | None, *, preview: bool) -> bool:
    """Say whether an apply takes fields from their managers."""
    if inputs_force:
        return True
    if live is None:
        return preview
    entries = at(live, "metadata", "managedFields") or []
    # A real update gives the creator's fields to the applying manager first; a dry run can't.
    return not entries or (preview and any(_is_earlier(each) for each in entries))


def _is_earlier(entry: dict[str, Any]) -> bool:
    who = (entry.get("manager"), entry.get("operation"))
    return who in _EARLIER and not entry.get("subresource")


def _is_of(entry: dict[str, Any], manager: str) -> bool:
    return entry.get("manager") == manager and entry.get("operation") == "Apply"


def _union(trees: Iterable[dict[str, Any] | None]) -> dict[str, Any]:
    union: dict[str, Any] = {}
    for tree in trees:
        for name, inner in (tree or {}).items():
            union[name] = _union([union.get(name), inner])
    return union


def _manage(trees: Iterable[dict[str, Any] | None], path: tuple[str, ...]) -> bool:
    return any(at(tree, *(f"f:{step}" for step in path)) is not None for tree in trees)


def _remove(item: Any, path: tuple[str, ...]) -> None:
    holder = at(item, *path[:-1])
    if isinstance(holder, dict):
        holder.pop(path[-1], None)


def _put(item: Any, path: tuple[str, ...], value: Any) -> None:
    for step in path[:-1]:
        item = item.setdefault(step, {})
        if not isinstance(item, dict):
            return
    item[path[-1]] = value
