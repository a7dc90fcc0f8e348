"""Reading the API's objects: names, annotations, conditions, owners."""

from typing import Any

from kubernetes_provider.properties import Object

SKIP_AWAIT = "pulumi.com/skipAwait"
TIMEOUT_SECONDS = "pulumi.com/timeoutSeconds"
REPLACE_UNREADY = "pulumi.com/replaceUnready"
PATCH_FORCE = "pulumi.com/patchForce"
PATCH_FIELD_MANAGER = "pulumi.com/patchFieldManager"
DELETION_PROPAGATION = "pulumi.com/deletionPropagationPolicy"
AUTONAMED = "pulumi.com/autonamed"


def at(value: Any, *path: str) -> Any:
    """Return what stands at a path of an object; None if there is nothing."""
    for name in path:
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return value


def name_of(item: Object) -> str:
    return at(item, "metadata", "name") or ""


def namespace_of(item: Object) -> str:
    return at(item, "metadata", "namespace") or ""


def identifier(item: Object) -> str:
    """Return an object's id in the state: `namespace/name`, or its name if it has no namespace."""
    return "/".join(filter(None, (namespace_of(item), name_of(item))))


def kind_of(item: Object) -> tuple[str, str]:
    return item.get("apiVersion", ""), item.get("kind", "")


def annotation(item: Object, name: str) -> str:
    return at(item, "metadata", "annotations", name) or ""


def is_set(item: Object, name: str) -> bool:
    """Say whether an annotation is true."""
    return annotation(item, name) == "true"


def annotate(item: Object, name: str) -> None:
    """Set an annotation to true."""
    metadata = item.setdefault("metadata", {})
    metadata["annotations"] = {**(metadata.get("annotations") or {}), name: "true"}


def timeout_of(inputs: Object, given: float, default: float) -> float:
    """Return how many seconds to wait: customTimeouts, else the annotation, else the default."""
    text = annotation(inputs, TIMEOUT_SECONDS)
    if given:
        return given
    return float(text) if text.isdigit() else default


def conditions(item: Object) -> dict[str, Object]:
    return {each.get("type", ""): each for each in at(item, "status", "conditions") or ()}


def is_owned(item: Object, owner: Object | None) -> bool:
    uid = at(owner, "metadata", "uid")
    owners = at(item, "metadata", "ownerReferences") or ()
    return uid is not None and any(each.get("uid") == uid for each in owners)
