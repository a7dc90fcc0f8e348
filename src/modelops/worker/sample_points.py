"""A few parameter sets of a search space, always the same ones."""

import math

from modelops.contracts import (
    CategoricalParameter,
    FixedParameter,
    FloatParameter,
    IntParameter,
    Parameter,
    Scalar,
    SearchSpace,
    make_param_id,
)

LEVELS = 3
"""Low, middle and high."""


def sample_points(space: SearchSpace) -> list[dict[str, Scalar]]:
    """Return LEVELS parameter sets; every parameter is low in one, middle in one, high in one.

    Neighbours in the space are never at the same level, so that no set is a corner of the space,
    where a model often does nothing. A space of fixed values has one set. What the space's
    constraints refuse is left out; if that's all, there is one set that they allow.

    Raises:
        ContractError: if the constraints allow hardly any point.
    """
    points = [
        {
            name: _level(parameter, (number + index) % LEVELS)
            for index, (name, parameter) in enumerate(space.parameters.items())
        }
        for number in range(LEVELS)
    ]
    points = [point for point in points if space.allows(point)] or [space.middle()]
    return list({make_param_id(point): point for point in points}.values())


def _level(parameter: Parameter, level: int) -> Scalar:
    match parameter:
        case FixedParameter(value):
            return value
        case CategoricalParameter(choices):
            return choices[level * (len(choices) - 1) // (LEVELS - 1)]
        case FloatParameter(low, high, log):
            return float((low, _middle(low, high, log=log), high)[level])
        case IntParameter(low, high, log):
            return (low, round(_middle(low, high, log=log)), high)[level]


def _middle(low: float, high: float, *, log: bool) -> float:
    # Halved before they're added, for bounds near the largest float; within them when rounded.
    middle = math.exp(math.log(low) / 2 + math.log(high) / 2) if log else low / 2 + high / 2
    return min(max(middle, low), high)
