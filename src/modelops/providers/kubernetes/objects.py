"""Objects of a namespace, as the API has them now: JSON, by kind and by name."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from kr8s import Api
    from kr8s.asyncio import Api as AsyncApi

Item = Mapping[str, Any]


def get(api: "Api", version: str, kind: str, name: str, namespace: str) -> Item | None:
    """Return an object; None if it isn't there.

    Args:
        api: of the cluster.
        version: of the object's API, as in `apps/v1`.
        kind: as in `Deployment`.
        name: the object's.
        namespace: where it is, if it's of a kind that is in namespaces.
    """
    from kr8s import NotFoundError  # noqa: PLC0415 — it takes long
    from kr8s.objects import object_from_spec  # noqa: PLC0415

    metadata = {"name": name, "namespace": namespace}
    found = object_from_spec(
        {"apiVersion": version, "kind": kind, "metadata": metadata},
        api=api,
        allow_unknown_type=True,
    )
    try:
        found.refresh()
    except NotFoundError:
        return None
    raw: Item = found.raw
    return raw


def get_all(
    api: "Api", kind: str, namespace: str, labels: Mapping[str, str] | None = None
) -> list[Item]:
    """Return the objects of one of the usual kinds, as in `Deployment`, with these labels."""
    from kr8s import objects  # noqa: PLC0415 — it takes long

    # By the class: by a name, all kinds of the cluster would be listed first.
    found = api.get(
        getattr(objects, kind), namespace=namespace, label_selector=dict(labels or {}), raw=True
    )
    return [cast("Item", item) for item in found]


async def get_pods(api: "AsyncApi", namespace: str, labels: Mapping[str, str]) -> list[Item]:
    """Return the pods with these labels."""
    from kr8s.asyncio.objects import Pod  # noqa: PLC0415 — it takes long

    found = api.get(Pod, namespace=namespace, label_selector=dict(labels), raw=True)
    return [cast("Item", pod) async for pod in found]


def name_of(item: Item) -> str:
    """Return an object's name."""
    return str(item["metadata"]["name"])


def labels_of(item: Item) -> Mapping[str, str]:
    """Return an object's labels."""
    found: Mapping[str, str] = item["metadata"].get("labels") or {}
    return found


def condition(item: Item, kind: str) -> Item:
    """Return a condition of an object's status; empty if it has none of that kind."""
    conditions = item.get("status", {}).get("conditions") or ()
    return next((each for each in conditions if each.get("type") == kind), {})
