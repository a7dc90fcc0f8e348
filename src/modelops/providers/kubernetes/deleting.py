"""Deleting what `down` keeps in the cluster: volumes, passwords, secrets, the namespace."""

import time
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from modelops.core.errors import ProviderError
from modelops.providers.base import ProviderPlan
from modelops.providers.kubernetes import cluster, names, objects
from modelops.providers.kubernetes.objects import Item, labels_of, name_of

if TYPE_CHECKING:
    from kr8s import Api

_SECONDS = 120.0
# The API tells when an object is gone to those who watch; a few are asked for more simply.
_RETRY_SECONDS = 0.5
_KEPT = {"PersistentVolumeClaim": "volume claim", "Secret": "secret"}


def delete_data(plan: ProviderPlan) -> tuple[str, ...]:
    """Delete what there is of the environment, wait until it's gone, and return its names.

    The namespace goes too, if it is the environment's own.

    Raises:
        ProviderError: if the cluster can't be asked or refuses, or something doesn't go.
    """
    properties = cluster.properties_of(plan)
    namespace = str(properties["namespace"])
    with cluster.api(properties) as api:
        kept = {
            (kind, name_of(item)): item
            for kind in _KEPT
            for item in objects.get_all(api, kind, namespace, _own(plan.env))
            if not item["metadata"].get("deletionTimestamp")
        }
        gone = [f"{_KEPT[kind]} {namespace}/{name}" for kind, name in kept]
        there = objects.get(api, "v1", "Namespace", namespace, namespace)
        if there is not None and _is_the_environments(there, plan.env, properties):
            _delete(api, "Namespace", there)
            _await_gone(api, [("v1", "Namespace", namespace)], namespace)
            return (*gone, f"namespace {namespace}")
        for (kind, _), item in kept.items():
            _delete(api, kind, item)
        _await_gone(api, [("v1", kind, name) for kind, name in kept], namespace)
    return tuple(gone)


def is_ours(properties: Mapping[str, Any]) -> bool:
    """Return whether the namespace is the environment's own to make, as far as the plan says.

    Args:
        properties: of the component of the namespace, or of a plan that has none.
    """
    return bool(properties.get("create", True))


def _own(env: str) -> dict[str, str]:
    return {names.MANAGED_BY_LABEL: names.MODELOPS, names.ENV_LABEL: env}


def _is_the_environments(item: Item, env: str, properties: Mapping[str, Any]) -> bool:
    return is_ours(properties) and _own(env).items() <= labels_of(item).items()


def _delete(api: "Api", kind: str, item: Item) -> None:
    import kr8s  # noqa: PLC0415 — it takes long
    from kr8s.objects import object_from_spec  # noqa: PLC0415

    # Objects in a list don't say of which kind they are.
    described = {**item, "apiVersion": "v1", "kind": kind}
    with suppress(kr8s.NotFoundError):
        object_from_spec(described, api=api).delete(propagation_policy="Background")


def _await_gone(api: "Api", wanted: list[tuple[str, str, str]], namespace: str) -> None:
    deadline = time.monotonic() + _SECONDS
    while True:
        left = [item for each in wanted if (item := objects.get(api, *each, namespace)) is not None]
        if not left:
            return
        if time.monotonic() > deadline:
            raise ProviderError(
                f"{_named(left[0])} isn't gone after {_SECONDS:g} s{_why(left[0])}.",
                hint="It goes on in the cluster. Look again with: mops down --delete-data",
            )
        time.sleep(_RETRY_SECONDS)


def _named(item: Item) -> str:
    return f"The {item.get('kind') or 'object'!s} {name_of(item)}"


def _why(item: Item) -> str:
    """Return what keeps an object, as far as the cluster says so."""
    conditions = item.get("status", {}).get("conditions") or ()
    reasons = [each["message"] for each in conditions if each.get("status") == "True"]
    finalizers = item["metadata"].get("finalizers") or item.get("spec", {}).get("finalizers") or ()
    if reasons:
        return f": {'; '.join(reasons)}"
    return f": it waits for {', '.join(finalizers)}" if finalizers else ""
