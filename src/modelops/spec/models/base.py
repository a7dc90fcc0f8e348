"""What all models of the spec share: strictness, and the types of single values."""

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainValidator,
    WithJsonSchema,
)
from pydantic_core import CoreSchema, core_schema

from modelops.contracts.canonical import check_scalar
from modelops.core.naming import DNS_LABEL
from modelops.spec.units import (
    CPU_FORMS,
    CPU_PATTERN,
    DURATION_FORMS,
    DURATION_PATTERN,
    MEMORY_FORMS,
    MEMORY_PATTERN,
    parse_cpu,
    parse_duration,
    parse_memory,
)

SECRET_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,252}")


class Part(BaseModel):
    """A mapping of the spec: frozen, unknown keys refused, no value changed into another type."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        protected_namespaces=(),
        defer_build=True,
    )


def is_dns_label(text: str) -> bool:
    """Return whether `text` is a DNS label (RFC 1123)."""
    return DNS_LABEL.fullmatch(text) is not None


def never(*settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a JSON Schema that refuses mappings with all of some settings.

    Each of `settings` is a mapping from keys to the only schema that counts for them.
    """
    return {
        "not": {"anyOf": [{"required": list(item), "properties": dict(item)} for item in settings]}
    }


class matching:  # noqa: N801 — an annotation, read as `Annotated[str, matching(…)]`
    """Text of which the whole matches a pattern; `message` says what is allowed otherwise.

    The pattern is in the JSON Schema too, so it keeps to what Python and ECMAScript both know.
    """

    def __init__(self, pattern: str, message: str) -> None:
        self._pattern = re.compile(pattern)
        self._message = message

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {**handler(schema), "pattern": f"^(?:{self._pattern.pattern})$"}

    def _check(self, text: str) -> str:
        if not self._pattern.fullmatch(text):
            raise ValueError(self._message)
        return text


def _check_filled(text: str) -> str:
    if not text.strip():
        raise ValueError("the text is empty")
    return text


def _check_memory(value: object) -> object:
    parse_memory(value)
    return value


def _check_cpu(value: object) -> object:
    parse_cpu(value)
    return value


def _check_duration(value: object) -> object:
    parse_duration(value)
    return value


def _check_scalar(value: object) -> object:
    if not isinstance(value, (bool, int, float, str)):
        raise ValueError("a parameter's value is true, false, a number or text")  # noqa: TRY004
    check_scalar("value", value)
    return value


def _check_number(value: object) -> int | float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError("this must be a number")  # noqa: TRY004
    check_scalar("value", value)
    return value


def _check_amount(value: object) -> int | float:
    amount = _check_number(value)
    if amount < 0:
        raise ValueError("this must be 0 or more")
    return amount


def _quantity(pattern: str, forms: str) -> WithJsonSchema:
    written = [{"type": "string", "pattern": pattern}, {"type": "number", "exclusiveMinimum": 0}]
    return WithJsonSchema({"anyOf": written, "description": forms})


Label = Annotated[
    str,
    matching(
        DNS_LABEL.pattern,
        "a name is a DNS label: at most 63 lower-case letters, digits and -, "
        "with no - at either end",
    ),
]
"""A name that becomes part of names of stacks, pods and folders."""

SecretName = Annotated[
    str,
    matching(
        SECRET_NAME.pattern,
        "a secret's name has letters, digits, _, - and . only, and begins with none of - and .",
    ),
]
"""A name given to `mops secrets set`."""

Text = Annotated[
    str, AfterValidator(_check_filled), WithJsonSchema({"type": "string", "pattern": r"\S"})
]
"""Text that isn't empty."""

MOST = 2**31 - 1
"""The largest count: what databases and clusters take."""

Count = Annotated[int, Field(ge=1, le=MOST)]
"""A whole number from 1."""

# Quantities stay as they were written, so that a spec is shown in its writer's units.
Memory = Annotated[
    str | int | float, PlainValidator(_check_memory), _quantity(MEMORY_PATTERN, MEMORY_FORMS)
]
Cpu = Annotated[str | int | float, PlainValidator(_check_cpu), _quantity(CPU_PATTERN, CPU_FORMS)]
Duration = Annotated[
    str | int | float, PlainValidator(_check_duration), _quantity(DURATION_PATTERN, DURATION_FORMS)
]

# An int stays an int: 1 and 1.0 are two values to a model.
Number = Annotated[int | float, PlainValidator(_check_number), WithJsonSchema({"type": "number"})]
Amount = Annotated[
    int | float, PlainValidator(_check_amount), WithJsonSchema({"type": "number", "minimum": 0})
]
ScalarValue = Annotated[
    bool | int | float | str,
    PlainValidator(_check_scalar),
    WithJsonSchema({"type": ["boolean", "number", "string"]}),
]
