"""Programs of others that ModelOps runs: where they are found, and how to get them."""

import os
import shutil
from pathlib import Path

from modelops.core.errors import ProviderError

REGISTRY_VERSION = "3.1.1"
"""The OCI registry that is built and tested; tools/go.mod pins the same."""


def tool_cache() -> Path:
    """Return the folder of the tools that `make` builds, one folder a version."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("MODELOPS_TOOLS") or Path(base) / "modelops" / "tools").absolute()


def cached_registry() -> Path:
    """Return where `make registry` puts the OCI registry's program."""
    return tool_cache() / f"registry-v{REGISTRY_VERSION}" / "registry"


def find_registry() -> Path:
    """Return the OCI registry's program: the one on PATH, else the one in the tool cache.

    Raises:
        ProviderError: if there is neither.
    """
    found = shutil.which("registry")
    if found is not None:
        return Path(found).absolute()
    cached = cached_registry()
    if not os.access(cached, os.X_OK):
        raise ProviderError(
            "There is no OCI registry to run: no program `registry` is on PATH, and there is no "
            f"{cached}.",
            hint="Build it in ModelOps's source folder with: make registry\n"
            "Or install the CNCF's Distribution, whose program is `registry`; or leave "
            "spec.registry.class out, which keeps bundles in a folder.",
        )
    return cached
