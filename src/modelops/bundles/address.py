"""Where an environment's bundles are: the address of its registry."""

import os
from pathlib import Path
from typing import Any

import yaml

from modelops.bundles.files import write_atomically
from modelops.core.errors import BundleError
from modelops.core.naming import check_dns_label
from modelops.core.settings import Home

REGISTRY_VARIABLE = "MODELOPS_BUNDLE_REGISTRY"


def registry_url(env: str) -> str:
    """Return the URL of the bundle registry of an environment, as `open_store` takes it.

    The environment variable MODELOPS_BUNDLE_REGISTRY goes first, then the file that is written
    when the registry's stack is up.

    Raises:
        BundleError: if neither names one, or the file isn't what was written; the hint says how to
            set it.
        UsageError: if `env` isn't an environment's name.
    """
    url = os.environ.get(REGISTRY_VARIABLE, "").strip()
    if url:
        return url
    path = _file(env)
    hint = f"Bring it up with: mops registry up --env {env}\nor set {REGISTRY_VARIABLE}=oci://host"
    try:
        content: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BundleError(
            f"The environment {env} has no bundle registry: {REGISTRY_VARIABLE} isn't set and "
            f"there is no {path}.",
            hint=hint,
        ) from None
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise BundleError(f"{path} can't be read: {error}", hint=hint) from error
    if not isinstance(content, dict) or not isinstance(content.get("registry"), str):
        raise BundleError(f"{path} doesn't name a registry (registry: <url>).", hint=hint)
    return str(content["registry"])


def write_bundle_env(env: str, url: str) -> None:
    """Write down the registry of an environment, for commands that don't read the spec."""
    path = _file(env)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_atomically(path, yaml.safe_dump({"registry": url}).encode())


def remove_bundle_env(env: str) -> None:
    """Forget the registry of an environment; nothing happens if none was written down."""
    _file(env).unlink(missing_ok=True)


def _file(env: str) -> Path:
    return Home.current().bundle_env_file(check_dns_label(env, "environment"))
