"""What all models of the spec share: strictness, and the types of single values."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainValidator, WithJsonSchema

from modelops.contracts.canonical import check_scalar
from modelops.core.naming import DNS_LABEL
from modelops.spec.units import (
    CPU_FORMS,
    DURATION_FORMS,
    MEMORY_FORMS,
    parse_cpu,
    parse_duration,
    parse_memory,
)


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


def _check_label(text: str) -> str:
    if not is_dns_label(text):
        raise ValueError(
            "a name is a DNS label: at most 63 lower-case letters, digits and -, "
            "with no - at either end"
        )
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


def _quantity(forms: str) -> WithJsonSchema:
    return WithJsonSchema({"type": ["string", "number"], "description": forms})


Label = Annotated[
    str,
    AfterValidator(_check_label),
    WithJsonSchema({"type": "string", "pattern": f"^{DNS_LABEL.pattern}$"}),
]
"""A name that becomes part of names of stacks, pods and folders."""

Text = Annotated[
    str, AfterValidator(_check_filled), WithJsonSchema({"type": "string", "minLength": 1})
]
"""Text that isn't empty."""

Count = Annotated[int, Field(ge=1)]
"""A whole number from 1."""

# Quantities stay as they were written, so that a spec is shown in its writer's units.
Memory = Annotated[str | int | float, PlainValidator(_check_memory), _quantity(MEMORY_FORMS)]
Cpu = Annotated[str | int | float, PlainValidator(_check_cpu), _quantity(CPU_FORMS)]
Duration = Annotated[str | int | float, PlainValidator(_check_duration), _quantity(DURATION_FORMS)]

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
