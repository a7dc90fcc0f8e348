"""Pulumi's property values ↔ the plain objects that the API server takes and gives.

A plain object holds no marks of secrets. What isn't known yet is the text that the engine takes for
it, `UNKNOWN`.
"""

from collections.abc import Mapping
from typing import Any

from google.protobuf.struct_pb2 import Struct
from pulumi.provider.experimental.property_value import PropertyValue
from pulumi.runtime import rpc

from modelops.providers.local.plugin.properties import to_properties

UNKNOWN = rpc.UNKNOWN


Properties = dict[str, PropertyValue]
Object = dict[str, Any]


def received(struct: Struct) -> Properties:
    """Return the properties of a message."""
    return PropertyValue.unmarshal_map(struct)


def sent(properties: Properties) -> Struct:
    """Return properties as they go into a message."""
    return PropertyValue.marshal_map(properties)


def plain(properties: Mapping[str, PropertyValue]) -> Object:
    """Return properties as a plain object; whole numbers come back as int."""
    return {name: _plain(value) for name, value in properties.items()}


def holds_unknown(value: Any) -> bool:
    """Say whether something in a plain value isn't known yet."""
    if isinstance(value, dict):
        return any(map(holds_unknown, value.values()))
    if isinstance(value, list):
        return any(map(holds_unknown, value))
    return bool(value == UNKNOWN)


def marked(values: Object, like: Mapping[str, PropertyValue]) -> Properties:
    """Return a plain object as properties, secret where `like` is and where a Secret's data are.

    Inside of lists there is no telling what moved where, so a list is secret as a whole.
    """
    properties = to_properties(values)
    if values.get("kind") == "Secret":
        for name in ("data", "stringData"):
            if name in properties:
                properties[name] = properties[name].with_secret(True)
        return properties
    for name, model in like.items():
        value, model_value = values.get(name), model.value
        if name not in properties:
            continue
        if isinstance(value, dict) and isinstance(model_value, Mapping) and not model.is_secret:
            properties[name] = PropertyValue(marked(value, model_value))
        elif model.contains_secret():
            properties[name] = properties[name].with_secret(True)
    return properties


def _plain(value: PropertyValue) -> Any:
    item = value.value
    if isinstance(item, bool) or item is None or isinstance(item, str):
        return item
    if isinstance(item, float):
        return int(item) if item.is_integer() else item
    if isinstance(item, Mapping):
        return {name: _plain(inner) for name, inner in item.items()}
    if isinstance(item, tuple):
        return [_plain(inner) for inner in item]
    raise TypeError(f"a property of type {type(item).__name__} isn't supported")
