"""A search space as Optuna has it: distributions, and the values that it suggests of them."""

from collections.abc import Mapping
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from modelops.contracts import (
    CategoricalParameter,
    FixedParameter,
    FloatParameter,
    IntParameter,
    Parameter,
    Scalar,
    SearchSpace,
)


def distributions(space: SearchSpace) -> dict[str, BaseDistribution]:
    """Return a distribution for each parameter that isn't fixed."""
    return {
        name: distribution
        for name, parameter in space.parameters.items()
        if (distribution := _distribution(parameter)) is not None
    }


def parameters_of(space: SearchSpace, suggested: Mapping[str, Any]) -> dict[str, Scalar]:
    """Return the parameters that a suggestion stands for."""
    return {
        name: _value(parameter, suggested.get(name)) for name, parameter in space.parameters.items()
    }


def suggestion_of(space: SearchSpace, params: Mapping[str, Scalar]) -> dict[str, Any]:
    """Return the suggestion that stands for parameters."""
    suggestion: dict[str, Any] = {}
    for name in space.varied:
        parameter, value = space.parameters[name], params[name]
        if isinstance(parameter, CategoricalParameter):
            kinds = [(type(choice), choice) for choice in parameter.choices]
            suggestion[name] = kinds.index((type(value), value))
        else:
            suggestion[name] = value
    return suggestion


def _distribution(parameter: Parameter) -> BaseDistribution | None:
    match parameter:
        case FloatParameter(low, high, log):
            return FloatDistribution(low, high, log=log)
        case IntParameter(low, high, log):
            return IntDistribution(low, high, log=log)
        case CategoricalParameter(choices):
            # Optuna takes 1, 1.0 and True for one choice, so it chooses a position.
            return CategoricalDistribution(range(len(choices)))
        case FixedParameter():
            return None


def _value(parameter: Parameter, suggested: Any) -> Scalar:
    match parameter:
        case FloatParameter():
            return float(suggested)
        case IntParameter():
            return int(suggested)
        case CategoricalParameter(choices):
            return choices[int(suggested)]
        case FixedParameter(value):
            return value
