"""The grid: every combination of evenly spaced values."""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from modelops.algorithms.designs import Design
from modelops.algorithms.options import (
    Option,
    OptionError,
    OptionProblem,
    check_options,
    checked_by,
)
from modelops.contracts import (
    AdaptiveAlgorithm,
    AlgorithmSettings,
    CategoricalParameter,
    FixedParameter,
    FloatParameter,
    IntParameter,
    Parameter,
    Scalar,
    SearchSpace,
)
from modelops.core.near_miss import did_you_mean

DEFAULT_POINTS = 10
"""How many values a range has, where `points` doesn't say."""

_WHERE = "Algorithm grid"
_MAX_CHECKED = 1_000_000
"""The most values of a range, and the most combinations of which the constraints are checked."""


def check(space: SearchSpace, settings: AlgorithmSettings) -> None:
    """Check the options, and that the grid has as many combinations as may be tried; see `create`.

    Raises:
        OptionError: with all that is wrong.
    """
    options = settings.options
    check_options(options, {"points": _points_option()}, _WHERE)
    problems = _unknown_names(options.get("points"), space)
    if not problems:
        axes = _axes(space, settings)
        problems = _size_problems(space, axes, settings.n_trials)
    if problems:
        raise OptionError.of(_WHERE, options, problems)


@checked_by(check)
def create(space: SearchSpace, settings: AlgorithmSettings) -> AdaptiveAlgorithm:
    """Make the algorithm `grid`: each combination once, the last parameter changing fastest.

    Option `points`: how many values each range has, both ends included; a number for all, or a
    mapping from names (default 10 for those that aren't named). A range of fewer whole numbers has
    all of them. Choices have all. With constraints, what they refuse is left out.

    Raises:
        AlgorithmError: if an option is wrong (then it's a ValueError too), there are more
            combinations than `n_trials`, or the constraints refuse all.
    """
    axes = _axes(space, settings)
    return Design(_combinations(space, axes), _size(space, axes))


def _points_option() -> Option:
    def is_count(value: object) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= _MAX_CHECKED

    def holds(value: Any) -> bool:
        return is_count(value) or (
            isinstance(value, Mapping) and bool(value) and all(map(is_count, value.values()))
        )

    return Option(
        f"a whole number from 1 to {_MAX_CHECKED:,}, or a mapping from parameters to such", holds
    )


def _unknown_names(
    points: int | Mapping[str, int] | None, space: SearchSpace
) -> list[OptionProblem]:
    ranges = [
        name
        for name, item in space.parameters.items()
        if isinstance(item, (FloatParameter, IntParameter))
    ]
    there = ", ".join(ranges) or "none"
    return [
        OptionProblem(
            ("points", name),
            f"points names {name!r}, which isn't a range of the space; there are: {there}",
            did_you_mean(name, ranges),
            at_key=True,
        )
        for name in (points if isinstance(points, Mapping) else ())
        if name not in ranges
    ]


def _axes(space: SearchSpace, settings: AlgorithmSettings) -> dict[str, Sequence[Scalar]]:
    points = settings.options.get("points", DEFAULT_POINTS)
    return {
        name: _axis(parameter, _count(points, name)) for name, parameter in space.parameters.items()
    }


def _count(points: int | Mapping[str, int], name: str) -> int:
    return points if isinstance(points, int) else points.get(name, DEFAULT_POINTS)


def _axis(parameter: Parameter, count: int) -> Sequence[Scalar]:
    match parameter:
        case FloatParameter(low, high, log):
            return list(dict.fromkeys(_spread(float(low), float(high), count, log=log)))
        case IntParameter(low, high, log):
            if high - low < count:
                return range(low, high + 1)
            values = [round(value) for value in _spread(low, high, count, log=log)]
            return list(dict.fromkeys(min(max(value, low), high) for value in values))
        case CategoricalParameter(choices):
            return choices
        case FixedParameter(value):
            return [value]


def _spread(low: float, high: float, count: int, *, log: bool) -> list[float]:
    """Return evenly spaced numbers, both ends included; the middle if it's to be one."""
    shares = [i / (count - 1) for i in range(count)] if count > 1 else [0.5]
    if log:
        ends = math.log(low), math.log(high)
        inner = [math.exp(ends[0] * (1 - share) + ends[1] * share) for share in shares]
    else:
        inner = [low * (1 - share) + high * share for share in shares]
    inner = [min(max(value, low), high) for value in inner]
    return inner if count == 1 else [low, *inner[1:-1], high]


def _size_problems(
    space: SearchSpace, axes: Mapping[str, Sequence[Scalar]], n_trials: int
) -> list[OptionProblem]:
    whole = math.prod(map(len, axes.values()))
    if space.constraints and whole > _MAX_CHECKED:
        message = (
            f"the grid has {whole:,} combinations before the constraints; at most "
            f"{_MAX_CHECKED:,} can be checked"
        )
        return [OptionProblem(("points",), message, "Set `points` to fewer.")]
    if whole > n_trials and (size := _size(space, axes)) > n_trials:
        lengths = ", ".join(f"{name}: {len(axis)}" for name, axis in axes.items())
        message = f"the grid has {size:,} combinations, and n_trials is {n_trials:,}"
        suggestion = f"Set n_trials to {size:,}, or `points` to fewer ({lengths})."
        return [OptionProblem(("n_trials",), message, suggestion)]
    if next(_combinations(space, axes), None) is None:
        message = "the constraints allow no combination"
        return [OptionProblem(("points",), message, "Give more `points`, or other bounds.")]
    return []


def _size(space: SearchSpace, axes: Mapping[str, Sequence[Scalar]]) -> int:
    if not space.constraints:
        return math.prod(map(len, axes.values()))
    return sum(1 for _ in _combinations(space, axes))


def _combinations(
    space: SearchSpace, axes: Mapping[str, Sequence[Scalar]]
) -> Iterator[dict[str, Scalar]]:
    for values in itertools.product(*axes.values()):
        params = dict(zip(axes, values, strict=True))
        if space.allows(params):
            yield params
