"""The local provider: everything on this machine, without a cloud account and without Docker."""

from modelops.providers.local.provider import LocalProvider

__all__ = ["LocalProvider"]
