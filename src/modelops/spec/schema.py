"""The JSON Schema of runtime.yaml, for editors and for what errors say is allowed."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from pydantic.json_schema import models_json_schema

from modelops.spec.installed import Installed
from modelops.spec.models import Algorithm, Provider, RuntimeSpec
from modelops.spec.models.providers import KNOWN
from modelops.spec.problems import SpecPath, list_words

Schema = dict[str, Any]
_Model = type[RuntimeSpec] | type[Provider] | type[Algorithm]

_KINDS = {
    "boolean": "true or false",
    "string": "text",
    "array": "a list",
    "object": "a mapping from names",
}
_DIALECT = "https://json-schema.org/draft/2020-12/schema"


# The types that the format itself names.
_ALGORITHMS = ("optuna", "sobol", "lhs", "halton", "grid", "abc-smc")
_PROVIDER = ("spec", "provider")


def json_schema(installed: Installed | None = None) -> Schema:
    """Return the JSON Schema (draft 2020-12) of runtime.yaml.

    It knows the keys of the providers that the format itself names, and of those `installed`. What
    names another thing of the file, or another thing of its own part, is left to the loader.
    """
    models = {**KNOWN, **(installed.providers if installed else {})}
    shown: tuple[_Model, ...] = (RuntimeSpec, Provider, Algorithm, *models.values())
    refs, parts = _schemas_of(tuple(dict.fromkeys(shown)))

    def part(model: _Model) -> Schema:
        return parts[_name(refs[model])]

    _offer(part(Provider)["properties"]["name"], models)
    types = dict.fromkeys((*_ALGORITHMS, *(installed.algorithms if installed else ())))
    _offer(part(Algorithm)["properties"]["type"], types)
    part(Provider)["allOf"] = [
        {
            "if": {"properties": {"name": {"const": name}}, "required": ["name"]},
            "then": refs[model],
        }
        for name, model in models.items()
        if model is not Provider
    ]
    root = parts.pop(_name(refs[RuntimeSpec]))
    return {"$schema": _DIALECT, **root, "title": "ModelOps RuntimeSpec", "$defs": parts}


def schema_at(location: SpecPath, provider: type[Provider] = Provider) -> Schema | None:
    """Return the schema of what a Pydantic error's location names, or None for an unknown key.

    `provider` is the model that the keys of `spec.provider` have.
    """
    if location[:2] == _PROVIDER:
        whole, location = _whole(provider), location[2:]
    else:
        whole = _whole(RuntimeSpec)
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
def _whole(model: _Model) -> Schema:
    refs, parts = _schemas_of((model,))
    return {**refs[model], "$defs": parts}


def _schemas_of(models: Sequence[_Model]) -> tuple[dict[_Model, Schema], dict[str, Schema]]:
    """Return references to the models' schemas, and the schemas of all parts by name."""
    by_mode, schema = models_json_schema([(model, "validation") for model in models], by_alias=True)
    parts: dict[str, Schema] = schema["$defs"]
    for part in parts.values():
        for described in part.get("properties", {}).values():
            # Pydantic's titles are Python's names in capitals; editors show the key itself.
            described.pop("title", None)
            if "patternProperties" in described:
                described["additionalProperties"] = False
    return {model: by_mode[model, "validation"] for model in models}, parts


def _name(ref: Schema) -> str:
    return str(ref["$ref"].rpartition("/")[2])


def _offer(schema: Schema, words: Mapping[str, object]) -> None:
    """Let editors complete some words where any text is allowed."""
    schema["anyOf"] = [{"enum": list(words)}, {"pattern": schema.pop("pattern")}]


def _resolved(node: Schema, whole: Schema) -> Schema:
    """Follow references, and take what isn't null of what may be null."""
    if "$ref" in node:
        return _resolved(whole["$defs"][_name(node)], whole)
    options = [option for option in node.get("anyOf", []) if option != {"type": "null"}]
    return _resolved(options[0], whole) if len(options) == 1 else node


def _child(node: Schema, part: str | int) -> Schema | None:
    if isinstance(part, int):
        return node.get("items")
    for option in node.get("oneOf", []):
        # In a location the name of a union's chosen branch stands between two keys.
        if option.get("$ref", "").endswith(f"/{part}"):
            return {"$ref": option["$ref"]}
    if part in node.get("properties", {}):
        return dict(node["properties"][part])
    return next(_values(node), None)


def _values(node: Schema) -> Iterator[Schema]:
    """Yield the schema of the values of a mapping from names, if it is one."""
    yield from node.get("patternProperties", {}).values()
    if isinstance(node.get("additionalProperties"), dict):
        yield node["additionalProperties"]
