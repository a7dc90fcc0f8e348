"""Pulumi's property values ↔ plain Python; numbers that are whole come back as int."""

from collections.abc import Mapping, Sequence
from typing import Any

from pulumi.provider.experimental.property_value import Computed, PropertyValue
from pulumi.runtime import rpc


def to_python(properties: Mapping[str, PropertyValue]) -> dict[str, Any]:
    """Return a resource's properties as plain values; what isn't known yet is left out."""
    return {name: _plain(value) for name, value in properties.items() if not _holds_unknown(value)}


def to_properties(
    values: Mapping[str, Any], secret: frozenset[str] = frozenset()
) -> dict[str, PropertyValue]:
    """Return plain values as properties; those named in `secret` are marked so in the state."""
    return {name: _property(value, name in secret) for name, value in values.items()}


def unknown() -> PropertyValue:
    """Return a property whose value isn't known before the resource is made.

    The SDK has a Computed value but can't send it; the engine takes this text for the same.
    """
    return PropertyValue(rpc.UNKNOWN)


def sendable(
    properties: Mapping[str, PropertyValue], secret: frozenset[str] = frozenset()
) -> dict[str, PropertyValue]:
    """Return properties in which what isn't known yet is marked in a way that can be sent.

    Those named in `secret` are marked so, whether they were or not.
    """
    sent = {name: _sendable(value) for name, value in properties.items()}
    return {
        name: value.with_secret(value.is_secret or name in secret) for name, value in sent.items()
    }


def secret_names(properties: Mapping[str, PropertyValue]) -> frozenset[str]:
    """Return the names of the properties that are, or hold, a secret."""
    return frozenset(name for name, value in properties.items() if value.contains_secret())


def _plain(value: PropertyValue) -> Any:
    item = value.value
    if isinstance(item, bool) or item is None or isinstance(item, str):
        return item
    if isinstance(item, float):
        return int(item) if item.is_integer() else item
    if isinstance(item, Mapping):
        return {name: _plain(inner) for name, inner in item.items()}
    if isinstance(item, Sequence):
        return [_plain(inner) for inner in item if isinstance(inner, PropertyValue)]
    raise TypeError(f"a property of type {type(item).__name__} isn't supported")


def _sendable(value: PropertyValue) -> PropertyValue:
    item = value.value
    if isinstance(item, Computed):
        return PropertyValue(rpc.UNKNOWN, is_secret=value.is_secret)
    if isinstance(item, Mapping):
        return value.with_value({name: _sendable(inner) for name, inner in item.items()})
    if isinstance(item, Sequence) and not isinstance(item, str):
        inner_values = [inner for inner in item if isinstance(inner, PropertyValue)]
        return value.with_value([_sendable(inner) for inner in inner_values])
    return value


def _property(value: Any, is_secret: bool = False) -> PropertyValue:
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return PropertyValue(value, is_secret=is_secret)
    if isinstance(value, (int, float)):
        return PropertyValue(float(value), is_secret=is_secret)
    if isinstance(value, Mapping):
        inner = {name: _property(item) for name, item in value.items()}
        return PropertyValue(inner, is_secret=is_secret)
    return PropertyValue([_property(item) for item in value], is_secret=is_secret)


def _holds_unknown(value: PropertyValue) -> bool:
    item = value.value
    if isinstance(item, Computed) or item == rpc.UNKNOWN:
        return True
    if isinstance(item, Mapping):
        return any(_holds_unknown(inner) for inner in item.values())
    if isinstance(item, Sequence) and not isinstance(item, str):
        return any(_holds_unknown(inner) for inner in item if isinstance(inner, PropertyValue))
    return False
