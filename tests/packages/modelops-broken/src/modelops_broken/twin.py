"""A plugin that works, and has a name that is taken."""

from modelops.core.errors import ProviderError
from modelops.providers.local.provider import LocalProvider


class TwinProvider(LocalProvider):
    """Would be noticed if it were used."""

    def compile(self, plan):
        """Refuse."""
        raise ProviderError("the twin was used")
