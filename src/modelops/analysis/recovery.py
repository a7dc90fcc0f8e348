"""Whether a calibration against simulated data finds what they were simulated with."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from modelops.analysis.hints import hints_of, place_in, value_at
from modelops.analysis.known_run import KnownRun, loss_of
from modelops.contracts import (
    CategoricalParameter,
    FixedParameter,
    FloatParameter,
    IntParameter,
    Parameter,
    Scalar,
    SearchSpace,
)
from modelops.contracts.space import FEASIBLE_DRAWS
from modelops.core.errors import UsageError
from modelops.core.near_miss import did_you_mean_or_all

TOLERANCE = 0.1
"""How far a recovered parameter may be from the truth, as a share of its range."""
_INNER = (0.1, 0.9)
"""The part of each range that truths are drawn from: at a bound there's only one side to miss."""
_WIDE = 0.7


class Verdict(Enum):
    """What became of one parameter."""

    RECOVERED = "recovered"
    """The best trial is near the truth, and so are the other good ones."""
    BY_CHANCE = "by chance"
    """The best trial is near the truth, but other good ones are anywhere."""
    NOT_IDENTIFIED = "not identified"
    """The best trial is elsewhere and fits the data as well as the truth does."""
    NOT_FOUND = "not found"
    """The best trial is elsewhere and fits worse than the truth: the search wasn't done."""


@dataclass(frozen=True)
class RecoveredParameter:
    """A parameter of a self-test.

    Attributes:
        name: its name.
        truth: what the data were simulated with.
        found: that of the best trial.
        distance: between them, as a share of the range; of choices 0 or 1.
        width: that of the best trials' central 90%, as a share of the range; None where there are
            too few trials, or choices.
        verdict: what to make of it.
    """

    name: str
    truth: Scalar
    found: Scalar
    distance: float
    width: float | None
    verdict: Verdict


@dataclass(frozen=True)
class Recovery:
    """What a self-test found.

    Attributes:
        parameters: of each that is varied.
        best_loss: that of the best trial.
        true_loss: that of the truth, with as many replicates as a trial has.
        tolerance: how far a recovered parameter may be from the truth.
    """

    parameters: tuple[RecoveredParameter, ...]
    best_loss: float
    true_loss: float
    tolerance: float

    @property
    def is_recovered(self) -> bool:
        """Whether all parameters are."""
        return all(item.verdict is Verdict.RECOVERED for item in self.parameters)


def choose_truth(space: SearchSpace, seed: int, given: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """Return the parameters to simulate data with.

    Args:
        space: what may be varied.
        seed: the same seed gives the same parameters, whatever is given.
        given: what is wanted of some of them, or of all.

    Raises:
        UsageError: if what is given isn't in the space, or its constraints allow nothing with it.
    """
    for name in given:
        if name not in space.parameters:
            raise UsageError(
                f"The space has no parameter {name!r}.",
                hint=did_you_mean_or_all(name, space.parameters),
            )
    fixed = {name: _checked(name, space.parameters[name], item) for name, item in given.items()}
    chance = random.Random(seed)  # noqa: S311 - no secret
    for _ in range(FEASIBLE_DRAWS):
        drawn = {name: _drawn(item, chance) for name, item in space.parameters.items()} | fixed
        if space.allows(drawn):
            return drawn
    raise UsageError(
        f"Of {FEASIBLE_DRAWS:,} points, the constraints allow none with what is given.",
        hint="Give other parameters, or none.",
    )


def recovery_of(
    run: KnownRun, truth: Mapping[str, Scalar], true_loss: float, tolerance: float = TOLERANCE
) -> Recovery:
    """Return what a calibration against simulated data found of the truth.

    Args:
        run: the calibration; at least one of its trials has completed.
        truth: what the data were simulated with.
        true_loss: the truth's own loss.
        tolerance: how far a recovered parameter may be from the truth, as a share of its range.
    """
    best = run.best[0]
    fits_as_well = loss_of(best) <= true_loss
    widths = {hint.name: hint.best for hint in hints_of(run).parameters}
    found = []
    for name, parameter in run.plan.space.parameters.items():
        if isinstance(parameter, FixedParameter):
            continue
        value = best.trial.parameters.params[name]
        distance = _distance(parameter, truth[name], value)
        width = widths.get(name)
        if distance > tolerance:
            verdict = Verdict.NOT_IDENTIFIED if fits_as_well else Verdict.NOT_FOUND
        else:
            is_anywhere = width is not None and width >= _WIDE
            verdict = Verdict.BY_CHANCE if is_anywhere else Verdict.RECOVERED
        found.append(RecoveredParameter(name, truth[name], value, distance, width, verdict))
    return Recovery(tuple(found), loss_of(best), true_loss, tolerance)


def _drawn(parameter: Parameter, chance: random.Random) -> Scalar:
    place = chance.uniform(*_INNER)
    match parameter:
        case FixedParameter(value):
            return value
        case CategoricalParameter(choices):
            return choices[min(int(place * len(choices)), len(choices) - 1)]
        case FloatParameter():
            return value_at(parameter, place)
        case IntParameter():
            return round(value_at(parameter, place))


def _checked(name: str, parameter: Parameter, value: Scalar) -> Scalar:
    match parameter:
        case FixedParameter(fixed):
            allowed, text = _is_one_of((fixed,), value), f"it is fixed at {fixed!r}"
        case CategoricalParameter(choices):
            allowed, text = _is_one_of(choices, value), f"its choices are {list(choices)}"
        case FloatParameter(low, high):
            allowed, text = False, f"it goes from {low!r} to {high!r}"
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                allowed = low <= value <= high
                value = float(value) if allowed else value
        case IntParameter(low, high):
            allowed = type(value) is int and low <= value <= high
            text = f"it's a whole number from {low} to {high}"
    if not allowed:
        raise UsageError(f"The parameter {name!r} can't be {value!r}: {text}.")
    return value


def _is_one_of(choices: tuple[Scalar, ...], value: Scalar) -> bool:
    # 1, 1.0 and True are equal to Python but are three values here.
    return any(type(choice) is type(value) and choice == value for choice in choices)


def _distance(parameter: Parameter, truth: Scalar, found: Scalar) -> float:
    if isinstance(parameter, CategoricalParameter):
        return 0.0 if _is_one_of((truth,), found) else 1.0
    return abs(place_in(parameter, truth) - place_in(parameter, found))
