"""`entrypoint.space`: what may be varied, each parameter in one of three forms."""

from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from modelops.contracts import (
    CategoricalParameter,
    FixedParameter,
    FloatParameter,
    IntParameter,
    Parameter,
)
from modelops.spec.models.base import Number, Part, ScalarValue

_FORMS = "{low: 0, high: 1}, {choices: [a, b]} or {value: 3}"


class ParameterRange(Part):
    """A number between two bounds, both included."""

    low: Number = Field(description="The lower bound.")
    high: Number = Field(description="The upper bound.")
    log: bool = Field(default=False, description="Whether to search on a logarithmic scale.")
    type: Literal["float", "int"] = Field(default="float", description="Real or whole numbers.")

    def parameter(self) -> Parameter:
        """Return it as algorithms take it.

        Raises:
            ContractError: if the bounds contradict each other, the scale or the type.
        """
        if self.type == "int":
            return IntParameter(_whole(self.low), _whole(self.high), self.log)
        return FloatParameter(float(self.low), float(self.high), self.log)

    @model_validator(mode="after")
    def _check(self) -> Self:
        self.parameter()
        return self


class ParameterChoices(Part):
    """One of several values, without an order."""

    choices: Annotated[tuple[ScalarValue, ...], Field(strict=False, min_length=1)] = Field(
        description="The values."
    )

    def parameter(self) -> Parameter:
        """Return it as algorithms take it.

        Raises:
            ContractError: if a value is there twice.
        """
        return CategoricalParameter(self.choices)

    @model_validator(mode="after")
    def _check(self) -> Self:
        self.parameter()
        return self


class ParameterValue(Part):
    """A value that is the same in every trial."""

    value: ScalarValue = Field(description="The value.")

    def parameter(self) -> Parameter:
        """Return it as algorithms take it."""
        return FixedParameter(self.value)


def _form(value: Any) -> str | None:
    if isinstance(value, Part):
        return type(value).__name__
    if isinstance(value, dict):
        for key, form in (
            ("choices", ParameterChoices),
            ("value", ParameterValue),
            ("low", ParameterRange),
            ("high", ParameterRange),
        ):
            if key in value:
                return form.__name__
    return None


SpaceEntry = Annotated[
    # The tags are the classes' names, as in the JSON Schema, where errors look up what is allowed.
    Annotated[ParameterRange, Tag("ParameterRange")]
    | Annotated[ParameterChoices, Tag("ParameterChoices")]
    | Annotated[ParameterValue, Tag("ParameterValue")],
    Discriminator(
        _form,
        custom_error_type="space_entry",
        custom_error_message=f"a parameter is {_FORMS}",
    ),
]


def _whole(bound: float) -> Any:
    """Return 20.0 as 20; the contract refuses what isn't whole."""
    return int(bound) if isinstance(bound, float) and bound.is_integer() else bound
