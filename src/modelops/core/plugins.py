"""Finding plugins by entry point; a broken one is named and skipped."""

import functools
import importlib.metadata
import logging
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from importlib.metadata import EntryPoint, EntryPoints
from typing import Any

from modelops.core.errors import ModelOpsError
from modelops.core.near_miss import did_you_mean

_OURS = "modelops"
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plugin:
    """One installed plugin, whether it works or not.

    Attributes:
        name: what it's asked for by.
        target: the `module:attribute` that its entry point names.
        package: the distribution that it comes from; empty if that isn't known.
        version: of that distribution.
        problem: why it can't be used; empty if it can.
        made: what its entry point gave, if it can be used.
    """

    name: str
    target: str
    package: str
    version: str
    problem: str = ""
    made: Any = field(default=None, compare=False, repr=False)

    def __str__(self) -> str:
        """Return where it comes from, in words."""
        return f"{self.target} of {self.package} {self.version}" if self.package else self.target


def entry_points(group: str, name: str | None = None) -> EntryPoints:
    """Return the entry points of a group, or those of one name in it.

    A group is read once for each value of `sys.path`: it means a look into every package that is
    installed, and a command asks several times.
    """
    found = _installed(group, tuple(sys.path))
    return found if name is None else found.select(name=name)


def plugin_names(group: str) -> tuple[str, ...]:
    """Return the names of all plugins of a group, broken ones included."""
    return tuple(sorted({point.name for point in entry_points(group)}))


def find_plugins(
    group: str, *, make: Callable[[Any], Any], name: str | None = None
) -> tuple[Plugin, ...]:
    """Load every plugin of a group, or those of one name; the same order each time.

    Of several plugins with one name, ours goes before others', and then the package's name
    decides; those after the first that works have a problem.

    Args:
        group: the entry-point group.
        make: makes the plugin of what the entry point names; whatever it raises means that the
            plugin is broken.
        name: the entry points' name; None for all.
    """
    found = sorted(
        (_load(point, make) for point in entry_points(group, name)),
        key=lambda plugin: (plugin.name, plugin.package != _OURS, plugin.package, plugin.target),
    )
    taken: dict[str, Plugin] = {}
    for index, plugin in enumerate(found):
        first = taken.setdefault(plugin.name, plugin) if not plugin.problem else plugin
        if first is not plugin:
            found[index] = replace(plugin, problem=f"its name is taken by {first}", made=None)
    return tuple(found)


def choose_plugin(
    found: Iterable[Plugin], name: str, *, what: str, error: type[ModelOpsError]
) -> Any:
    """Return what the plugin of that name made; name those that are skipped, each once.

    Args:
        found: the plugins that there are.
        name: the plugin's name.
        what: what a plugin of the group is called in messages (`provider`).
        error: the class of the error that is raised.

    Raises:
        ModelOpsError: of the class `error`, if there is none, or the ones there are are broken.
    """
    listed = tuple(found)
    named = [plugin for plugin in listed if plugin.name == name]
    usable = [plugin for plugin in named if not plugin.problem]
    for plugin in listed:
        # The error names those that were asked for.
        if plugin.problem and (usable or plugin not in named):
            _warn(f"The {what} {plugin.name} ({plugin}) was skipped: {plugin.problem}")
    if usable:
        return usable[0].made
    if named:
        raise error(
            f"The {what} {name!r} can't be used:"
            + "".join(f"\n  {plugin}: {plugin.problem}" for plugin in named),
            hint=f"Reinstall or upgrade {named[0].package or 'the package that it comes from'}.",
        )
    names = sorted({plugin.name for plugin in listed if not plugin.problem})
    raise error(
        f"There is no {what} {name!r}; installed are: {', '.join(names)}.",
        hint=did_you_mean(name, names) or "Install the package that brings it.",
    )


@functools.lru_cache(maxsize=4)
def _installed(group: str, _path: tuple[str, ...]) -> EntryPoints:
    return importlib.metadata.entry_points(group=group)


@functools.cache
def _warn(message: str) -> None:
    _log.warning("%s", message)


def _load(point: EntryPoint, make: Callable[[Any], Any]) -> Plugin:
    package = point.dist.name if point.dist is not None else ""
    version = point.dist.version if point.dist is not None else ""
    plugin = Plugin(point.name, point.value, package, version)
    try:
        return replace(plugin, made=make(point.load()))
    except ModelOpsError as error:
        return replace(plugin, problem=error.message)
    except (Exception, SystemExit) as error:  # noqa: BLE001 — a plugin may fail in any way
        return replace(plugin, problem=f"{type(error).__name__}: {error}")
