"""What changes between the state and the inputs, which change replaces, and which is ignored."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from pulumi.provider.experimental.provider import PropertyDiffKind

from kubernetes_provider.objects import (
    AUTONAMED,
    is_set,
    name_of,
    namespace_of,
)
from kubernetes_provider.properties import Object

Path = tuple[str | int, ...]

_STEP = re.compile(r'\.?(?:\["((?:[^"\\]|\\.)*)"\]|\[(\d+|\*)\]|([^.\[\]"]+))')
_REPLACING = {
    PropertyDiffKind.ADD: PropertyDiffKind.ADD_REPLACE,
    PropertyDiffKind.DELETE: PropertyDiffKind.DELETE_REPLACE,
    PropertyDiffKind.UPDATE: PropertyDiffKind.UPDATE_REPLACE,
}


class _Absent(Enum):
    ABSENT = "absent"


_ABSENT = _Absent.ABSENT


@dataclass(frozen=True)
class Change:
    """A field that differs."""

    path: Path
    kind: PropertyDiffKind

    @property
    def replaces(self) -> bool:
        return self.kind in _REPLACING.values()

    def __str__(self) -> str:
        """Return its path in the engine's spelling."""
        text = ""
        for step in self.path:
            if isinstance(step, int):
                text += f"[{step}]"
            elif re.search(r'[."\[\]]', step):
                text += '["' + step.replace('"', r"\"") + '"]'
            else:
                text += f".{step}" if text else step
        return text


def pruned(live: Any, shape: Any) -> Any:
    """Return of a live object what its inputs have too: the rest is the cluster's own."""
    if isinstance(live, dict) and isinstance(shape, dict):
        return {name: pruned(live[name], shape[name]) for name in live if name in shape}
    if isinstance(live, list) and isinstance(shape, list) and live and shape:
        if type(live[0]) is not type(shape[0]):
            return list(live)
        return [pruned(*pair) for pair in zip(live, shape, strict=False)]
    if isinstance(live, list) and isinstance(shape, list):
        return []
    return live


def changes(
    old: Object,
    new: Object,
    replacing: Iterable[Sequence[str]],
    ignored: Iterable[str],
) -> list[Change]:
    """Return what differs between what there was, pruned, and the new inputs.

    Args:
        old: the live object of the state, as much of it as the old inputs had.
        new: the inputs.
        replacing: paths of fields whose change replaces the object.
        ignored: paths, in the engine's spelling, of which no change counts.
    """
    fields = tuple(tuple(field) for field in replacing)
    skipped = tuple(parsed(path) for path in ignored)
    found = []
    for change, value in _compare((), old, new):
        if any(_holds(path, change.path) for path in skipped):
            continue
        if any(_touches(change.path, value, field) for field in fields):
            found.append(Change(change.path, _REPLACING[change.kind]))
        else:
            found.append(change)
    return found


def must_go_first(new: Object, live: Object) -> bool:
    """Say whether an object has to be deleted before its replacement can be made.

    It has if the program gives its name, so that the two would have the same.
    """
    return (
        name_of(new) != ""
        and not is_set(new, AUTONAMED)
        and name_of(new) == name_of(live)
        and namespace_of(new) == namespace_of(live)
    )


def parsed(path: str) -> tuple[str, ...]:
    """Return the steps of a property path in the engine's spelling; `*` stands for any."""
    steps, position = [], 0
    while position < len(path):
        found = _STEP.match(path, position)
        if found is None:
            raise ValueError(f"failed to parse ignore path: {path}")
        quoted, index, plain = found.groups()
        steps.append(re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else index or plain)
        position = found.end()
    return tuple(steps)


def _compare(path: Path, old: Any, new: Any) -> Iterable[tuple[Change, Any]]:
    """Yield each difference, and what is there now."""
    if new is None or new is _ABSENT:
        if old is not _ABSENT and old is not None:
            yield Change(path, PropertyDiffKind.DELETE), None
    elif old is _ABSENT:
        yield Change(path, PropertyDiffKind.ADD), new
    elif isinstance(old, dict) and isinstance(new, dict):
        for name in old.keys() | new.keys():
            yield from _compare((*path, name), old.get(name, _ABSENT), new.get(name, _ABSENT))
    elif isinstance(old, list) and isinstance(new, list):
        for index in range(max(len(old), len(new))):
            before = old[index] if index < len(old) else _ABSENT
            after = new[index] if index < len(new) else _ABSENT
            yield from _compare((*path, index), before, after)
    elif old != new or isinstance(old, bool) is not isinstance(new, bool):
        yield Change(path, PropertyDiffKind.UPDATE), new


def _touches(path: Path, value: Any, field: tuple[str, ...]) -> bool:
    """Say whether a change at a path is one of a field: within it, or of something that has it."""
    names = [step for step in path if isinstance(step, str)]
    common = min(len(names), len(field))
    if tuple(names[:common]) != field[:common]:
        return False
    for step in field[common:]:
        if not isinstance(value, dict) or step not in value:
            return False
        value = value[step]
    return True


def _holds(outer: tuple[str, ...], path: Path) -> bool:
    if len(outer) > len(path):
        return False
    return all(step in ("*", str(other)) for step, other in zip(outer, path, strict=False))
