"""Finding provider plugins; a broken one is named and skipped."""

import difflib
import logging
from importlib.metadata import entry_points

from modelops.core.errors import ProviderError
from modelops.providers.base import ProviderPlugin

GROUP = "modelops.providers"
_log = logging.getLogger(__name__)


def provider_names() -> tuple[str, ...]:
    """Return the names of all providers that are installed, broken ones included."""
    return tuple(sorted({point.name for point in entry_points(group=GROUP)}))


def find_provider(name: str) -> ProviderPlugin:
    """Load the provider of that name.

    Raises:
        ProviderError: if there is none, or the one there is can't be loaded.
    """
    broken = ""
    for point in entry_points(group=GROUP, name=name):
        try:
            provider = point.load()()
        except Exception as error:  # noqa: BLE001 — a plugin may fail in any way; it is named and skipped
            broken = f"{point.value}: {type(error).__name__}: {error}"
            _log.warning("provider %s is broken and was skipped (%s)", name, broken)
            continue
        if isinstance(provider, ProviderPlugin):
            return provider
        broken = f"{point.value} isn't a ProviderPlugin"
        _log.warning("provider %s was skipped: %s", name, broken)
    if broken:
        raise ProviderError(
            f"Provider {name!r} can't be used: {broken}.",
            hint="Reinstall or upgrade the package that it comes from.",
        )
    names = provider_names()
    near = difflib.get_close_matches(name, names, 1)
    raise ProviderError(
        f"There is no provider {name!r}; installed are: {', '.join(names)}.",
        hint=f"Did you mean {near[0]!r}?" if near else "Install the package that brings it.",
    )
