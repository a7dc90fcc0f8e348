"""The search space: which parameters an algorithm may vary, and how."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Self

from modelops.contracts.canonical import JSONValue, Scalar, check_scalar
from modelops.contracts.errors import ContractError


@dataclass(frozen=True)
class FloatParameter:
    """A real number in [low, high]; on a logarithmic scale if `log`, which needs low > 0."""

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        _check_bounds(self.low, self.high)
        if self.log and self.low <= 0:
            raise ContractError(f"log needs low > 0, not {self.low}")


@dataclass(frozen=True)
class IntParameter:
    """A whole number in [low, high], both included; `log` needs low >= 1."""

    low: int
    high: int
    log: bool = False

    def __post_init__(self) -> None:
        for bound in (self.low, self.high):
            if isinstance(bound, bool) or not isinstance(bound, int):
                raise ContractError(f"the bounds of an int parameter are integers, not {bound!r}")
        _check_bounds(self.low, self.high)
        if self.log and self.low < 1:
            raise ContractError(f"log needs low >= 1, not {self.low}")


@dataclass(frozen=True)
class CategoricalParameter:
    """One of several values, without an order."""

    choices: tuple[Scalar, ...]

    def __post_init__(self) -> None:
        if not self.choices:
            raise ContractError("choices must not be empty")
        for choice in self.choices:
            check_scalar("choices", choice)
        # 1, 1.0 and True are equal to Python but are three values here.
        if len({(type(choice), choice) for choice in self.choices}) != len(self.choices):
            raise ContractError(f"choices are given twice in {list(self.choices)}")


@dataclass(frozen=True)
class FixedParameter:
    """A parameter that every trial gets with the same value."""

    value: Scalar

    def __post_init__(self) -> None:
        check_scalar("value", self.value)


Parameter = FloatParameter | IntParameter | CategoricalParameter | FixedParameter


@dataclass(frozen=True)
class SearchSpace:
    """Named parameters in the order of the spec. Immutable, and the same after a round trip."""

    parameters: Mapping[str, Parameter]

    def __post_init__(self) -> None:
        object.__setattr__(self, "parameters", MappingProxyType(dict(self.parameters)))

    def to_json(self) -> list[JSONValue]:
        """Return the space as JSON: a list, since the order of parameters counts."""
        return [{"name": name, **_encode(item)} for name, item in self.parameters.items()]

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Read what `to_json` wrote.

        Raises:
            ContractError: if it isn't a list of parameters.
        """
        if not isinstance(value, list):
            raise ContractError("a search space is a list of parameters")
        return cls({item["name"]: _decode(item) for item in value})

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (dict(self.parameters),))


def _check_bounds(low: float, high: float) -> None:
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ContractError(f"bounds must be finite, not {low} and {high}")
    if low > high:
        raise ContractError(f"low is {low}, above high, which is {high}")


def _encode(parameter: Parameter) -> dict[str, JSONValue]:
    match parameter:
        case FloatParameter(low, high, log):
            return {"type": "float", "low": float(low), "high": float(high), "log": log}
        case IntParameter(low, high, log):
            return {"type": "int", "low": low, "high": high, "log": log}
        case CategoricalParameter(choices):
            return {"type": "categorical", "choices": list(choices)}
        case FixedParameter(value):
            return {"type": "fixed", "value": value}


def _decode(item: Mapping[str, Any]) -> Parameter:
    match item.get("type"):
        case "float":
            return FloatParameter(item["low"], item["high"], item["log"])
        case "int":
            return IntParameter(item["low"], item["high"], item["log"])
        case "categorical":
            return CategoricalParameter(tuple(item["choices"]))
        case "fixed":
            return FixedParameter(item["value"])
        case other:
            raise ContractError(f"{other!r} isn't a type of parameter")
