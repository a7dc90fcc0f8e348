"""Finding providers by name."""

from typing import Any

from modelops.core.errors import ProviderError
from modelops.core.plugins import load_plugin
from modelops.providers.base import ProviderPlugin

GROUP = "modelops.providers"


def find_provider(name: str) -> ProviderPlugin:
    """Load the provider of that name.

    Raises:
        ProviderError: if there is none, or the one there is can't be loaded.
    """
    provider: ProviderPlugin = load_plugin(
        GROUP, name, make=_provider, what="provider", error=ProviderError
    )
    return provider


def _provider(plugin: Any) -> ProviderPlugin:
    provider = plugin()
    if not isinstance(provider, ProviderPlugin):
        raise TypeError("it isn't a ProviderPlugin")
    return provider
