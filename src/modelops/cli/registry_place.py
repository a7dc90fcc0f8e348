"""An environment's bundle registry as this machine reaches it; a spec isn't needed.

When the registry's stack is up, it is written down where it is. Of one that has to be reached
through its provider, what the provider needs for that is written down too.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from modelops.bundles.access import REGISTRY_VARIABLE, RegistryAccess
from modelops.bundles.address import (
    access_to,
    read_bundle_env,
    registry_access,
    write_bundle_env,
)
from modelops.contracts import BindingOutputs, BundleRef, BundleTag, ContractError
from modelops.core.errors import BundleError, BundleNotThereError
from modelops.providers.base import REGISTRY_BINDINGS, Component, ProviderPlan, StackPlan
from modelops.providers.discovery import find_provider

if TYPE_CHECKING:
    from modelops.providers.base import ProviderPlugin

_REACHED_BY = "reached_by"


def note(plan: ProviderPlan, registry: BindingOutputs) -> None:
    """Write down where an environment's bundles are.

    Args:
        plan: of the environment.
        registry: the registry's bindings, as its stack hands them on.
    """
    bindings = registry.only(REGISTRY_BINDINGS)
    if all(ref.kind == "file" for ref in bindings.secrets.values()):
        write_bundle_env(plan.env, RegistryAccess.from_bindings(bindings))
        return
    how = {
        "provider": plan.provider,
        "stack": plan.stack(Component.REGISTRY).to_json(),
        "bindings": BindingOutputs(bindings.env, bindings.secrets).to_json(),
    }
    access = RegistryAccess(bindings.env[REGISTRY_VARIABLE])
    write_bundle_env(plan.env, access, {_REACHED_BY: how})


def registry_from(bindings: BindingOutputs) -> RegistryAccess:
    """Return the registry of bindings that this machine can use.

    What they don't say of user, password and CA is taken from this command's own variables.
    """
    return RegistryAccess.from_bindings(bindings).completed(os.environ)


@contextmanager
def registry_of(env: str) -> Iterator[RegistryAccess]:
    """Give a block the bundle registry of an environment.

    The variable MODELOPS_BUNDLE_REGISTRY goes first, then what is written down.

    Raises:
        BundleNotThereError: if neither names one; the hint says how to set it.
        BundleError: if what is written down can't be read.
        ProviderError: if the registry can't be reached.
    """
    how = None if os.environ.get(REGISTRY_VARIABLE, "").strip() else _how(env)
    if how is None:
        yield registry_access(env)
        return
    provider, plan, bindings = how
    with provider.reach(plan, bindings) as reached:
        yield registry_from(reached)


@contextmanager
def registry_for(reference: BundleRef | BundleTag, env: str) -> Iterator[RegistryAccess]:
    """Give a block the registry that `stores.store_of` needs for a reference.

    One that says where it is needs no registry of the environment.

    Raises:
        BundleNotThereError, BundleError, ProviderError: as for `registry_of`.
    """
    if not reference.is_in_own_registry:
        yield access_to(reference, env)
        return
    with registry_of(env) as access:
        yield access


def noted_provider(env: str) -> "tuple[ProviderPlugin, ProviderPlan] | None":
    """Return the provider of an environment's registry and what it needs, if they're noted.

    Raises:
        BundleError: if what is written down can't be read.
        ProviderError: if there is no such provider.
    """
    try:
        how = _how(env)
    except BundleNotThereError:
        return None
    return None if how is None else how[:2]


def _how(env: str) -> "tuple[ProviderPlugin, ProviderPlan, BindingOutputs] | None":
    written = read_bundle_env(env).get(_REACHED_BY)
    if written is None:
        return None
    try:
        return _read(env, written)
    except (AttributeError, KeyError, TypeError, ValueError, ContractError) as error:
        raise BundleError(
            f"What is noted of the registry of {env} can't be used: {error}.",
            hint=f"Have it written anew: mops registry up --env {env}",
        ) from error


def _read(env: str, written: Any) -> "tuple[ProviderPlugin, ProviderPlan, BindingOutputs]":
    bindings = BindingOutputs.from_json(written["bindings"])
    plan = ProviderPlan(written["provider"], env, (StackPlan.from_json(written["stack"]),))
    return find_provider(plan.provider), plan, bindings
