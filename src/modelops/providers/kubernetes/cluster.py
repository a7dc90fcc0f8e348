"""The API of the cluster, from this machine or a pod, and what goes wrong with it, in words."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from modelops.core.background import start
from modelops.core.errors import ProviderError
from modelops.providers.base import ProviderPlan
from modelops.providers.kubernetes import names
from modelops.providers.kubernetes.extra import require_extra
from modelops.providers.kubernetes.kubeconfig import (
    check_kubeconfig,
    kubeconfig_path,
    server_of,
)

if TYPE_CHECKING:
    import kr8s
    from kr8s.asyncio import Api as AsyncApi

SECONDS = 20.0
"""How long the API may take to answer."""

_HINT = "Check that the cluster runs and that your login is valid: kubectl get namespaces"
_FORBIDDEN = (
    "Your login may not do that. Which rights `mops` needs is in docs/kubernetes.md; whose login "
    "it is, says: kubectl auth whoami"
)
_UNAUTHORIZED, _FORBIDDEN_STATUS = 401, 403


def properties_of(plan: ProviderPlan) -> Mapping[str, Any]:
    """Return what says of which cluster and namespace a plan is; every component has it.

    A plan without stacks is of the current context and the environment's own namespace.
    """
    for stack in plan.stacks:
        for resource in stack.resources:
            return resource.properties
    return {"namespace": names.namespace(plan.env), "env": plan.env, "cluster": {}}


@contextmanager
def api(properties: Mapping[str, Any]) -> "Iterator[kr8s.Api]":
    """Give a block the API; what goes wrong with it in the block is told in words.

    Args:
        properties: those that every component of the provider has (`Settings.common`).

    Raises:
        ProviderError: if the cluster can't be reached or refuses, or packages are missing.
    """
    with told(properties):
        yield _connected(properties)


async def async_api(properties: Mapping[str, Any]) -> "AsyncApi":
    """Return the API for the loop that runs; what its use raises is for `told`."""
    # It takes long to import.
    import kr8s  # noqa: PLC0415

    try:
        connected = await kr8s.asyncio.api(**_arguments(properties))
    except (RuntimeError, KeyError) as error:
        # A program that gives a login failed, or a file lacks a part.
        raise ValueError(str(error)) from error
    connected.timeout = SECONDS
    return connected


async def close(connected: "AsyncApi") -> None:
    """End the API's connections; the loop that they belong to is about to end."""
    # There is no public way.
    session = connected._session  # noqa: SLF001
    if session is not None:
        await session.aclose()


@contextmanager
def told(properties: Mapping[str, Any]) -> Iterator[None]:
    """Tell in words what goes wrong with the API in a block.

    Raises:
        ProviderError: if the cluster can't be reached or refuses, or packages are missing.
    """
    require_extra()
    # They take long to import.
    import httpx  # noqa: PLC0415
    import kr8s  # noqa: PLC0415

    cluster = properties["cluster"]
    check_kubeconfig(cluster.get("kubeconfig"), cluster.get("context"))
    try:
        yield
    except kr8s.ServerError as error:
        status = getattr(error.response, "status_code", None)
        if status == _UNAUTHORIZED:
            raise ProviderError(
                f"{_cluster(properties)} doesn't know your login.", hint=_HINT
            ) from error
        hint = _FORBIDDEN if status == _FORBIDDEN_STATUS else _HINT
        raise ProviderError(f"The cluster refuses: {str(error).rstrip('.')}.", hint=hint) from error
    except (kr8s.APITimeoutError, httpx.HTTPError, OSError, ValueError) as error:
        raise _unreachable(properties, str(error) or type(error).__name__) from error


_known: "dict[tuple[tuple[str, Any], ...], kr8s.Api]" = {}
_lock = threading.Lock()


def _connected(properties: Mapping[str, Any]) -> "kr8s.Api":
    """Return the API; it is connected to once, since a login may take a program of its own."""
    import kr8s  # noqa: PLC0415

    arguments = _arguments(properties)
    key = tuple(sorted(arguments.items()))
    with _lock:
        if key in _known:
            return _known[key]

    def connect() -> kr8s.Api:
        try:
            return kr8s.api(**arguments)
        except (RuntimeError, KeyError) as error:
            # A program that gives a login failed, or a file lacks a part.
            raise ValueError(str(error)) from error

    try:
        # It has no limit of its own.
        connected = start(connect).result(timeout=SECONDS)
    except TimeoutError:
        raise _unreachable(properties, f"no answer within {SECONDS:g} s") from None
    connected.timeout = SECONDS
    with _lock:
        return _known.setdefault(key, connected)


def _arguments(properties: Mapping[str, Any]) -> dict[str, Any]:
    cluster = properties["cluster"]
    return {
        "kubeconfig": kubeconfig_path(cluster.get("kubeconfig")),
        "context": cluster.get("context"),
        "namespace": properties["namespace"],
    }


def _unreachable(properties: Mapping[str, Any], why: str) -> ProviderError:
    return ProviderError(
        f"{_cluster(properties)} can't be reached: {' '.join(why.split())}.", hint=_HINT
    )


def _cluster(properties: Mapping[str, Any]) -> str:
    named = properties["cluster"]
    server = server_of(named.get("kubeconfig"), named.get("context"))
    return f"The cluster {server}" if server else "The cluster"
