"""Finding plugins by entry point; a broken one is named and skipped."""

import logging
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from modelops.core.errors import ModelOpsError
from modelops.core.near_miss import did_you_mean

_log = logging.getLogger(__name__)


def plugin_names(group: str) -> tuple[str, ...]:
    """Return the names of all plugins of a group, broken ones included."""
    return tuple(sorted({point.name for point in entry_points(group=group)}))


def load_plugin(
    group: str, name: str, *, make: Callable[[Any], Any], what: str, error: type[ModelOpsError]
) -> Any:
    """Return the plugin of that name, the first of those that work.

    Args:
        group: the entry-point group.
        name: the entry point's name.
        make: makes the plugin of what the entry point names; whatever it raises means that the
            plugin is broken.
        what: what a plugin of the group is called in messages (`provider`).
        error: the class of the error that is raised.

    Raises:
        ModelOpsError: of the class `error`, if there is none, or the ones there are are broken.
    """
    broken = ""
    for point in entry_points(group=group, name=name):
        plugin, problem = _try(point, make)
        if not problem:
            return plugin
        broken = f"{point.value}: {problem}"
        _log.warning("%s %s is broken and was skipped (%s)", what, name, broken)
    if broken:
        raise error(
            f"The {what} {name!r} can't be used: {broken}.",
            hint="Reinstall or upgrade the package that it comes from.",
        )
    names = plugin_names(group)
    raise error(
        f"There is no {what} {name!r}; installed are: {', '.join(names)}.",
        hint=did_you_mean(name, names) or "Install the package that brings it.",
    )


def _try(point: EntryPoint, make: Callable[[Any], Any]) -> tuple[Any, str]:
    try:
        return make(point.load()), ""
    except Exception as error:  # noqa: BLE001 — a plugin may fail in any way; it is named and skipped
        return None, f"{type(error).__name__}: {error}"
