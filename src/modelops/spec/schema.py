"""The JSON Schema of runtime.yaml, for editors and for what errors say is allowed."""

from collections.abc import Iterator
from functools import cache
from typing import Any

from modelops.spec.models import RuntimeSpec
from modelops.spec.problems import list_words

Schema = dict[str, Any]

_KINDS = {
    "boolean": "true or false",
    "string": "text",
    "array": "a list",
    "object": "a mapping from names",
}
_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> Schema:
    """Return the JSON Schema (draft 2020-12) of runtime.yaml."""
    schema = RuntimeSpec.model_json_schema(by_alias=True)
    for part in [schema, *schema["$defs"].values()]:
        for described in part.get("properties", {}).values():
            # Pydantic's titles are Python's names in capitals; editors show the key itself.
            described.pop("title", None)
            if "patternProperties" in described:
                described["additionalProperties"] = False
    schema["title"] = "ModelOps RuntimeSpec"
    return {"$schema": _DIALECT, **schema}


def schema_at(location: tuple[str | int, ...]) -> Schema | None:
    """Return the schema of what a Pydantic error's location names, or None for an unknown key."""
    whole = _whole()
    node: Schema | None = whole
    for part in location:
        if node is None:
            return None
        node = _child(_resolved(node, whole), part)
    return None if node is None else _resolved(node, whole)


def allowed_keys(schema: Schema) -> list[str]:
    """Return the keys that a mapping's schema names, in the order of the file."""
    return list(schema.get("properties", {}))


def allowed_words(schema: Schema) -> list[str]:
    """Return the texts that a schema allows, if it names them all."""
    words = schema.get("enum", [schema["const"]] if "const" in schema else [])
    return [word for word in words if isinstance(word, str)]


def describe(schema: Schema) -> str:
    """Return in words what a schema allows: "a whole number from 1", "warm, fork or fresh"."""
    if words := allowed_words(schema):
        return list_words(words, "or")
    kind = schema.get("type")
    if kind in ("integer", "number"):
        low, high = schema.get("minimum"), schema.get("maximum")
        lower = "" if low is None else f" from {low}"
        upper = "" if high is None else f" to {high}"
        return f"{'a whole number' if kind == 'integer' else 'a number'}{lower}{upper}"
    if kind == "array" and schema.get("minItems"):
        return "a list that isn't empty"
    if keys := allowed_keys(schema):
        return f"a mapping with the keys {list_words(keys)}"
    return _KINDS.get(str(kind), str(schema.get("description", "another kind of value")))


@cache
def _whole() -> Schema:
    return json_schema()


def _resolved(node: Schema, whole: Schema) -> Schema:
    """Follow references, and take what isn't null of what may be null."""
    if "$ref" in node:
        return _resolved(whole["$defs"][node["$ref"].rpartition("/")[2]], whole)
    options = [option for option in node.get("anyOf", []) if option != {"type": "null"}]
    return _resolved(options[0], whole) if len(options) == 1 else node


def _child(node: Schema, part: str | int) -> Schema | None:
    if isinstance(part, int):
        return node.get("items")
    for option in node.get("oneOf", []):
        # In a location the name of a union's chosen branch stands between two keys.
        if option["$ref"].endswith(f"/{part}"):
            return {"$ref": option["$ref"]}
    if part in node.get("properties", {}):
        return dict(node["properties"][part])
    return next(_values(node), None)


def _values(node: Schema) -> Iterator[Schema]:
    """Yield the schema of the values of a mapping from names, if it is one."""
    yield from node.get("patternProperties", {}).values()
    if isinstance(node.get("additionalProperties"), dict):
        yield node["additionalProperties"]
