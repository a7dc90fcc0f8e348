"""The search space: which parameters an algorithm may vary, and how."""

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any, Self

from modelops.contracts.canonical import JSONValue, Scalar, check_scalar
from modelops.contracts.constraints import Constraint
from modelops.contracts.errors import ContractError
from modelops.contracts.unit_cube import part_at, real_at, whole_at

FEASIBLE_DRAWS = 10_000
"""How many points are drawn to find one that the constraints allow."""


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
    """Named parameters in the order of the spec, and the constraints between them.

    Immutable, and the same after a round trip.

    Raises:
        ContractError: if a constraint names a parameter that isn't there, or compares what can't be
            compared.
    """

    parameters: Mapping[str, Parameter]
    constraints: tuple[Constraint, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "parameters", MappingProxyType(dict(self.parameters)))
        object.__setattr__(self, "constraints", tuple(self.constraints))
        for constraint in self.constraints:
            constraint.check({name: _types(item) for name, item in self.parameters.items()})

    @cached_property
    def varied(self) -> tuple[str, ...]:
        """The names of the parameters that aren't fixed."""
        return tuple(
            name for name, item in self.parameters.items() if not isinstance(item, FixedParameter)
        )

    def allows(self, params: Mapping[str, Scalar]) -> bool:
        """Return whether all constraints hold. Bounds aren't looked at."""
        return all(constraint.holds(params) for constraint in self.constraints)

    def at(self, point: Sequence[float]) -> dict[str, Scalar]:
        """Return the parameters at a point of the unit cube: a share in [0, 1) for each varied one.

        Uniform points give uniform parameters, on the logarithmic scale where `log` says so;
        whole numbers and choices have equal shares. The constraints aren't looked at.

        Raises:
            ValueError: if the point has more or fewer shares.
        """
        shares = dict(zip(self.varied, point, strict=True))
        return {
            name: _value_at(parameter, shares.get(name, 0.0))
            for name, parameter in self.parameters.items()
        }

    def draws(self, seed: int) -> Iterator[dict[str, Scalar]]:
        """Yield random points without an end, always the same ones; the constraints don't count."""
        numbers = random.Random(seed)  # noqa: S311 - no secret
        size = len(self.varied)
        while True:
            yield self.at([numbers.random() for _ in range(size)])

    def middle(self) -> dict[str, Scalar]:
        """Return a point in the middle of the space, to try a model with; the first of choices.

        Where the constraints don't allow that, the first of FEASIBLE_DRAWS that they do.

        Raises:
            ContractError: if there is none.
        """
        middle = {name: _middle(parameter) for name, parameter in self.parameters.items()}
        if self.allows(middle):
            return middle
        draws = self.draws(0)
        for _ in range(FEASIBLE_DRAWS):
            if self.allows(point := next(draws)):
                return point
        raise ContractError(f"of {FEASIBLE_DRAWS:,} points, the constraints allow none")

    def to_json(self) -> JSONValue:
        """Return the space as JSON: a list, since the order of parameters counts.

        With constraints it's a mapping of that list, `parameters`, and their texts, `constraints`.
        """
        parameters: list[JSONValue] = [
            {"name": name, **_encode(item)} for name, item in self.parameters.items()
        ]
        if not self.constraints:
            return parameters
        return {"parameters": parameters, "constraints": [item.text for item in self.constraints]}

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Read what `to_json` wrote.

        Raises:
            ContractError: if it isn't a list of parameters.
        """
        constraints: Any = []
        if isinstance(value, Mapping) and value.keys() == {"parameters", "constraints"}:
            value, constraints = value["parameters"], value["constraints"]
        if not isinstance(value, list) or not isinstance(constraints, list):
            raise ContractError("a search space is a list of parameters")
        return cls(
            {item["name"]: _decode(item) for item in value},
            tuple(Constraint(text) for text in constraints),
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (dict(self.parameters), self.constraints))


def _types(parameter: Parameter) -> frozenset[type]:
    """Return the types of the values that a parameter can have."""
    match parameter:
        case FloatParameter() | IntParameter():
            return frozenset((float,))
        case CategoricalParameter(choices):
            return frozenset(map(type, choices))
        case FixedParameter(value):
            return frozenset((type(value),))


def _check_bounds(low: float, high: float) -> None:
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ContractError(f"bounds must be finite, not {low} and {high}")
    if low > high:
        raise ContractError(f"low is {low}, above high, which is {high}")


def _value_at(parameter: Parameter, share: float) -> Scalar:
    match parameter:
        case FloatParameter(low, high, log):
            return real_at(share, float(low), float(high), log=log)
        case IntParameter(low, high, log):
            return whole_at(share, low, high, log=log)
        case CategoricalParameter(choices):
            return choices[part_at(share, len(choices))]
        case FixedParameter(value):
            return value


def _middle(parameter: Parameter) -> Scalar:
    match parameter:
        case FloatParameter(low, high, log):
            # Not of the sum or product, which may be infinite.
            return math.sqrt(low) * math.sqrt(high) if log else low / 2 + high / 2
        case IntParameter(low, high, log):
            return math.isqrt(low * high) if log else (low + high) // 2
        case CategoricalParameter(choices):
            return choices[0]
        case FixedParameter(value):
            return value


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
