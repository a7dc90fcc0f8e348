"""Names that the provider makes, and what names in the state stand for."""

import random
import secrets

from kubernetes_provider.normalising import normal
from kubernetes_provider.objects import AUTONAMED, annotate, is_set, name_of
from kubernetes_provider.outcomes import RefusedError
from kubernetes_provider.properties import Object


def hexadecimal(seed: bytes = b"") -> str:
    """Return eight random hexadecimal digits; the same for the same seed."""
    return f"{random.Random(seed).getrandbits(32):08x}" if seed else secrets.token_hex(4)


def name_if_unnamed(new: Object, old: Object, name: str, seed: bytes) -> None:
    """Give an object the name that it had, or make one of the resource's, if it has none.

    Raises:
        RefusedError: if the server is to make it, which it can't where objects are applied.
    """
    metadata = new.setdefault("metadata", {})
    if metadata.get("name"):
        return
    if metadata.get("generateName"):
        raise RefusedError(
            "the `.metadata.generateName` field is not supported in Server-Side Apply mode"
        )
    if not old or is_set(old, AUTONAMED):
        metadata["name"] = name_of(old) or f"{name}-{hexadecimal(seed)}"
        annotate(new, AUTONAMED)


def named_by_type(urn: str, namespace: str, name: str) -> Object:
    """Return what a resource's type and id tell of its object."""
    type_ = urn.split("::")[-2].rpartition("$")[2]
    _, version, kind = type_.split(":")
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": version.removeprefix("core/"), "kind": kind, "metadata": metadata}


def adopted(live: Object) -> Object:
    """Return an object as the inputs of a program that hadn't made it."""
    return normal({name: value for name, value in live.items() if name != "status"})
