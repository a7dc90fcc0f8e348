"""Where an environment's bundles are: its registry, and how it's reached."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from modelops.bundles.access import REGISTRY_VARIABLE, RegistryAccess
from modelops.bundles.files import write_atomically
from modelops.contracts import BundleRef, BundleTag
from modelops.core.errors import BundleError, BundleNotThereError
from modelops.core.naming import check_dns_label
from modelops.core.settings import Home


def registry_access(env: str) -> RegistryAccess:
    """Return the bundle registry of an environment, as `open_store` takes it.

    The environment variable MODELOPS_BUNDLE_REGISTRY goes first, then the file that is written
    when the registry's stack is up. User, password file and CA that the file doesn't name may be
    given by variables too.

    Raises:
        BundleNotThereError: if neither names one; the hint says how to set it.
        BundleError: if the file isn't what was written.
        UsageError: if `env` isn't an environment's name.
    """
    given = RegistryAccess.from_environment(os.environ)
    if given is not None:
        return given
    content = read_bundle_env(env)
    try:
        known = RegistryAccess.from_json(content)
    except ValueError as error:
        raise BundleError(f"{_file(env)} can't be used: {error}.", hint=_hint(env)) from error
    return known.completed(os.environ)


def read_bundle_env(env: str) -> Mapping[str, Any]:
    """Return what `write_bundle_env` wrote down of an environment's registry.

    Raises:
        BundleNotThereError: if nothing is; the hint says how to name a registry.
        BundleError: if it can't be read.
        UsageError: if `env` isn't an environment's name.
    """
    path, hint = _file(env), _hint(env)
    try:
        content: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BundleNotThereError(
            f"The environment {env} has no bundle registry: {REGISTRY_VARIABLE} isn't set and "
            f"there is no {path}.",
            hint=hint,
        ) from None
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise BundleError(f"{path} can't be read: {error}", hint=hint) from error
    return content if isinstance(content, dict) else {}


def access_to(reference: BundleRef | BundleTag, env: str) -> RegistryAccess:
    """Return the registry that `stores.store_of` needs for a reference.

    A reference that says where it is needs no registry of the environment; if there is one, its
    user and password are for its own host.

    Raises:
        BundleNotThereError: if the reference needs the environment's registry and there is none.
        BundleError, UsageError: as for `registry_access`.
    """
    try:
        return registry_access(env)
    except BundleNotThereError:
        if reference.is_in_own_registry:
            raise
        return RegistryAccess("")


def write_bundle_env(
    env: str, access: RegistryAccess, more: Mapping[str, Any] | None = None
) -> None:
    """Write down the registry of an environment, for commands that don't read the spec.

    Of a password it's the file's path that is written.

    Args:
        env: the environment.
        access: to its registry.
        more: what else `read_bundle_env` is to give, as JSON.
    """
    path = _file(env)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    content = {**access.to_json(), **(more or {})}
    write_atomically(path, yaml.safe_dump(content, sort_keys=False).encode())


def remove_bundle_env(env: str) -> None:
    """Forget the registry of an environment; nothing happens if none was written down."""
    _file(env).unlink(missing_ok=True)


def _hint(env: str) -> str:
    return f"Bring it up with: mops registry up --env {env}\nor set {REGISTRY_VARIABLE}=oci://host"


def _file(env: str) -> Path:
    return Home.current().bundle_env_file(check_dns_label(env, "environment"))
