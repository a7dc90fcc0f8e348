"""From a file's data to a RuntimeSpec, or to what is wrong with it in words and places."""

from collections.abc import Iterable

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from modelops.core.near_miss import did_you_mean, near_miss
from modelops.spec.checks import check, misspelt_options
from modelops.spec.installed import Installed, not_installed
from modelops.spec.models import Provider, RuntimeSpec
from modelops.spec.models.providers import KNOWN, model_named
from modelops.spec.options import option_findings
from modelops.spec.partial import check_valid_parts, path_of
from modelops.spec.problems import (
    Finding,
    InvalidSpecError,
    SpecPath,
    SpecProblem,
    list_words,
    printable,
)
from modelops.spec.schema import Schema, allowed_keys, allowed_words, describe, schema_at
from modelops.spec.source import Entry, Reading
from modelops.spec.tree import Tree

# What Pydantic appends to the location of a key that is wrong.
_KEY = "[key]"


def validate(
    tree: Tree, installed: Installed | None = None, provider: str | None = None
) -> tuple[RuntimeSpec | None, list[SpecProblem]]:
    """Return the spec, or None and its problems.

    When there are problems, those that only a later step would find (an undeclared worker group)
    are added as far as they can be told, so that all are shown at once.

    Args:
        tree: the file.
        installed: which plugins there are, if that counts.
        provider: the provider that is taken instead of the file's, which need not be there then.
    """

    def findings(spec: RuntimeSpec) -> list[Finding]:
        found = misspelt_options(spec)
        if installed is not None:
            known = [finding.path for finding in found]
            found += not_installed(spec, installed, provider=provider is None)
            found += option_findings(spec, installed, known)
        return found

    models = KNOWN if installed is None else installed.providers
    try:
        spec = RuntimeSpec.model_validate(tree.data, context=Reading(tree.source, models))
    except ValidationError as error:
        model = model_named(_provider_name(tree.data), models)
        problems = [_problem(details, tree, model) for details in _first_causes(error, model)]
        return None, _with_read(tree, [*problems, *check_valid_parts(tree, error, findings)])
    found = findings(spec)
    if not tree.problems and not found:
        return spec, []
    return None, _with_read(tree, map(tree.source.problem, [*found, *check(spec)]))


def _with_read(tree: Tree, problems: Iterable[SpecProblem]) -> list[SpecProblem]:
    """Return the problems after those of the reading, without a second one in a place of those."""
    known = {(problem.line, problem.column) for problem in tree.problems}
    further = [item for item in problems if (item.line, item.column) not in known]
    return [*tree.problems, *further]


def provider_named(name: str, spec: RuntimeSpec, installed: Installed | None) -> Provider:
    """Return the provider of that name for a spec whose file names another one.

    Raises:
        InvalidSpecError: if the provider can't do without keys that the file hasn't.
    """
    model = model_named(name, KNOWN if installed is None else installed.providers)
    try:
        return model.model_validate({"name": name})
    except ValidationError as error:
        problems = []
        for details in error.errors(include_url=False):
            path = ("spec", "provider", *details["loc"])
            needed = _needed(schema_at(path, model) or {})
            message = f"the provider {name} needs this key; it must be {needed}"
            suggestion = f"The file is made for {spec.spec.provider.name}."
            problems.append(spec.source.problem(Finding(path, message, suggestion, missing=True)))
        raise InvalidSpecError(problems) from None


def _provider_name(data: object) -> object:
    for key in ("spec", "provider", "name"):
        data = data.get(key) if isinstance(data, dict) else None
    return data


def _first_causes(error: ValidationError, provider: type[Provider]) -> Iterable[ErrorDetails]:
    """Return the errors without a missing key where the same key is there, misspelt."""
    errors = error.errors(include_url=False)
    meant = set()
    for details in errors:
        if details["type"] == "extra_forbidden":
            *around, key = details["loc"]
            near = near_miss(key, allowed_keys(schema_at(tuple(around), provider) or {}))
            meant.add((*around, near))
    return [item for item in errors if item["type"] != "missing" or item["loc"] not in meant]


def _problem(details: ErrorDetails, tree: Tree, provider: type[Provider]) -> SpecProblem:
    path = path_of(details, tree.data)
    entry = tree.source.entries.get(path)
    schema = schema_at(details["loc"], provider)
    match details["type"]:
        case "missing":
            message = f"this is missing; it must be {_needed(schema or {})}"
            return tree.source.problem(Finding(path, message, missing=True))
        case "extra_forbidden":
            return tree.source.problem(_unknown_key(details, path, provider))
        case "value_error":
            error = details.get("ctx", {}).get("error")
            message = str(error or details["msg"])
            suggestion = getattr(error, "suggestion", "")
        case "space_entry":
            message = details["msg"]
            suggestion = _space_suggestion(details["input"])
        case _:
            message = f"this must be {describe(schema)}" if schema else details["msg"]
            suggestion = did_you_mean(details["input"], allowed_words(schema or {}))
    suggestion = suggestion or _reading(entry, details["input"], schema)
    at_key = _KEY in details["loc"]
    return tree.source.problem(Finding(path, message, suggestion, at_key=at_key))


def _unknown_key(details: ErrorDetails, path: SpecPath, provider: type[Provider]) -> Finding:
    around = schema_at(details["loc"][:-1], provider) or {}
    keys = allowed_keys(around)
    suggestion = did_you_mean(path[-1], keys)
    if path[:-1] == ("spec", "provider") and not suggestion:
        owners = [name for name, model in KNOWN.items() if path[-1] in _keys_of(model)]
        suggestion = f"It is a key of the provider {list_words(owners)}." if owners else ""
    return Finding(
        path,
        f"`{printable(str(path[-1]))}` isn't a key here; allowed: {list_words(keys)}",
        suggestion=suggestion,
        at_key=True,
    )


def _keys_of(model: type[Provider]) -> list[str]:
    return [info.alias or name for name, info in model.model_fields.items()]


def _reading(entry: Entry | None, value: object, schema: Schema | None) -> str:
    """Return what to write instead where YAML, or a person, took one type for another."""
    if entry is None or schema is None:
        return ""
    if isinstance(value, str):
        return _instead_of_text(value, schema, is_quoted=entry.plain is None)
    if value is None:
        return (
            "Write a value after the colon, or remove the key."
            if entry.plain == ""
            else "Write a value, or remove the key."
        )
    if schema.get("type") == "integer" and isinstance(value, float) and value.is_integer():
        return f"Write {int(value)}."
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
