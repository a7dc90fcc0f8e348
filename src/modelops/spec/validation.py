"""From a file's data to a RuntimeSpec, or to what is wrong with it in words and places."""

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from modelops.core.near_miss import did_you_mean, near_miss
from modelops.spec.checks import check, misspelt_options
from modelops.spec.models import RuntimeSpec
from modelops.spec.partial import check_valid_parts, path_of
from modelops.spec.problems import (
    Finding,
    SpecPath,
    SpecProblem,
    list_words,
)
from modelops.spec.schema import Schema, allowed_keys, allowed_words, describe, schema_at
from modelops.spec.source import Entry
from modelops.spec.tree import Tree

# What Pydantic appends to the location of a key that is wrong.
_KEY = "[key]"


def validate(tree: Tree) -> tuple[RuntimeSpec | None, list[SpecProblem]]:
    """Return the spec, or None and its problems.

    When there are problems, those that only a later step would find (an undeclared worker group)
    are added as far as they can be told, so that all are shown at once.
    """
    try:
        spec = RuntimeSpec.model_validate(tree.data, context=tree.source)
    except ValidationError as error:
        # A key or value that the reading refused already needs no second complaint.
        known = {(problem.line, problem.column) for problem in tree.problems}
        problems = [_problem(details, tree) for details in _first_causes(error)]
        problems = [item for item in problems if (item.line, item.column) not in known]
        return None, [*tree.problems, *problems, *check_valid_parts(tree, error)]
    misspelt = misspelt_options(spec)
    if not tree.problems and not misspelt:
        return spec, []
    return None, [*tree.problems, *map(tree.source.problem, [*misspelt, *check(spec)])]


def _first_causes(error: ValidationError) -> list[ErrorDetails]:
    """Return the errors without a missing key where the same key is there, misspelt."""
    errors = error.errors(include_url=False)
    meant = set()
    for details in errors:
        if details["type"] == "extra_forbidden":
            *around, key = details["loc"]
            near = near_miss(key, allowed_keys(schema_at(tuple(around)) or {}))
            meant.add((*around, near))
    return [item for item in errors if item["type"] != "missing" or item["loc"] not in meant]


def _problem(details: ErrorDetails, tree: Tree) -> SpecProblem:
    path = path_of(details, tree.data)
    entry = tree.source.entries.get(path)
    schema = schema_at(details["loc"])
    match details["type"]:
        case "missing":
            message = f"this is missing; it must be {_needed(schema or {})}"
            return tree.source.problem(Finding(path, message, missing=True))
        case "extra_forbidden":
            return tree.source.problem(_unknown_key(details, path))
        case "value_error":
            message = str(details.get("ctx", {}).get("error", details["msg"]))
            suggestion = ""
        case "space_entry":
            message = details["msg"]
            suggestion = _space_suggestion(details["input"])
        case _:
            message = f"this must be {describe(schema)}" if schema else details["msg"]
            suggestion = did_you_mean(details["input"], allowed_words(schema or {}))
    suggestion = suggestion or _reading(entry, details["input"], schema)
    at_key = _KEY in details["loc"]
    return tree.source.problem(Finding(path, message, suggestion, at_key=at_key))


def _unknown_key(details: ErrorDetails, path: SpecPath) -> Finding:
    around = schema_at(details["loc"][:-1]) or {}
    keys = allowed_keys(around)
    return Finding(
        path,
        f"`{path[-1]}` isn't a key here; allowed: {list_words(keys)}",
        suggestion=did_you_mean(path[-1], keys),
        at_key=True,
    )


def _reading(entry: Entry | None, value: object, schema: Schema | None) -> str:
    """Return what to write instead where YAML, or a person, took one type for another."""
    if entry is None or schema is None:
        return ""
    if isinstance(value, str):
        return _instead_of_text(value, schema, is_quoted=entry.plain is None)
    if value is None and entry.plain == "":
        return "Write a value after the colon, or remove the key."
    if entry.plain is None or not (schema.get("type") == "string" or allowed_words(schema)):
        return ""
    read_as = (
        f"YAML reads {entry.plain} as {str(value).lower()}. " if isinstance(value, bool) else ""
    )
    return f'{read_as}Write "{entry.plain}" to have text.'


def _instead_of_text(value: str, schema: Schema, *, is_quoted: bool) -> str:
    if schema.get("required") == ["name"]:
        return f"Write {{name: {value}}}."
    return f"Write {value} without quotes." if is_quoted and _is_number(value) else ""


def _needed(schema: Schema) -> str:
    """Return what a missing value must be; what text is wanted, only its description tells."""
    words = describe(schema)
    about = schema.get("description", "").rstrip(".")
    return f"{words}: {about}" if words == "text" and about else words


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _space_suggestion(value: object) -> str:
    if isinstance(value, list) and len(value) == 2:
        return f"Write {{low: {value[0]}, high: {value[1]}}}."
    if isinstance(value, (bool, int, float, str)):
        return "Write {value: …} for a parameter that is the same in every trial."
    return ""
