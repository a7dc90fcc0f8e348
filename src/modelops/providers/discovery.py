"""Finding providers by name; a broken plugin is named and skipped."""

from collections.abc import Iterator, Mapping
from typing import Any

from modelops.core.errors import ProviderError
from modelops.core.plugins import Plugin, choose_plugin, find_plugins, plugin_names
from modelops.providers.base import HasOptions, ProviderPlugin
from modelops.spec.models import Provider
from modelops.spec.models.providers import KNOWN

GROUP = "modelops.providers"


def installed_providers() -> tuple[Plugin, ...]:
    """Return every provider that is installed, broken ones included."""
    return find_plugins(GROUP, make=_provider)


def find_provider(name: str) -> ProviderPlugin:
    """Load the provider of that name. All are loaded, so that a broken one is named.

    Raises:
        ProviderError: if there is none, or the one there is can't be used.
    """
    provider: ProviderPlugin = choose_plugin(
        installed_providers(), name, what="provider", error=ProviderError
    )
    return provider


def option_models() -> Mapping[str, type[Provider]]:
    """Return the model of each provider's keys: of those installed, and those the format knows.

    A plugin is loaded only when it is asked for its model.
    """
    return _OptionModels()


class _OptionModels(Mapping[str, type[Provider]]):
    def __init__(self) -> None:
        self._installed = plugin_names(GROUP)

    def __getitem__(self, name: str) -> type[Provider]:
        if name not in self._installed:
            return KNOWN[name]
        try:
            plugin = find_provider(name)
        except ProviderError:
            # A broken plugin was named by the search. What comes after the spec can't use it.
            return KNOWN.get(name, Provider)
        return plugin.options_model if isinstance(plugin, HasOptions) else Provider

    def __iter__(self) -> Iterator[str]:
        return iter(sorted({*KNOWN, *self._installed}))

    def __len__(self) -> int:
        return len({*KNOWN, *self._installed})


def _provider(plugin: Any) -> ProviderPlugin:
    provider = plugin()
    parts = [*ProviderPlugin.__annotations__, *vars(ProviderPlugin)]
    missing = [part for part in parts if not part.startswith("_") and not hasattr(provider, part)]
    if missing or not isinstance(provider, ProviderPlugin):
        raise ProviderError(f"it isn't a ProviderPlugin: it lacks {', '.join(missing)}")
    return provider
