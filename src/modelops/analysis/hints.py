"""Hints on what the data say of the parameters: read off the best trials, and no more than hints.

A parameter that the data fix takes few values among the best trials; where two are fixed together
only, they move together there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from modelops.analysis.known_run import KnownRun
from modelops.contracts import (
    CategoricalParameter,
    FixedParameter,
    FloatParameter,
    IntParameter,
    Parameter,
)
from modelops.runner.records import TrialRecord

FEWEST = 10
"""With fewer trials nothing is said."""
_SHARE = 0.1
_MOST = 200
_NARROW, _WIDE = 0.3, 0.7
_STRONG = 0.7
_EDGE, _EDGE_SHARE = 0.05, 0.25
_CENTRAL = 0.9
"""Widths are those of the central 90%."""

_Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ParameterHint:
    """What the best trials say of one parameter.

    Attributes:
        name: the parameter's.
        best: the width of the best trials' values, as a share of the prior's.
        everywhere: that of all trials' values.
        low, high: between which the central 90% of the best trials' values lie.
        words: what to make of it.
    """

    name: str
    best: float
    everywhere: float
    low: float
    high: float
    words: str


@dataclass(frozen=True)
class Hints:
    """Hints on the parameters of a run.

    Attributes:
        basis: what they are read off; where that's too little, why there are none.
        parameters: of each that has numbers for values.
        together: two parameters and their rank correlation, where it's strong.
        choices: of parameters with choices, a sentence each.
    """

    basis: str
    parameters: tuple[ParameterHint, ...] = ()
    together: tuple[tuple[str, str, float], ...] = ()
    choices: tuple[str, ...] = ()


def hints_of(run: KnownRun) -> Hints:
    """Return what the best trials of a run say of its parameters."""
    completed = run.best
    if len(completed) < FEWEST:
        few = f"Completed trials: {len(completed)}; hints need {FEWEST}."
        return Hints(few)
    count = min(_MOST, max(FEWEST, round(_SHARE * len(completed))))
    best = completed[:count]
    basis = f"the {count} best of {len(completed):,} trials that completed"
    numeric = {
        name: parameter
        for name, parameter in run.plan.space.parameters.items()
        if isinstance(parameter, FloatParameter | IntParameter) and parameter.low < parameter.high
    }
    places = {name: _places(name, item, best) for name, item in numeric.items()}
    hints = tuple(
        _hint(name, item, places[name], _places(name, item, completed))
        for name, item in numeric.items()
    )
    together = tuple(
        (one, other, correlation)
        for one, other in combinations(numeric, 2)
        if abs(correlation := rank_correlation(places[one], places[other])) >= _STRONG
    )
    choices = tuple(
        _choice_words(name, parameter, best)
        for name, parameter in run.plan.space.parameters.items()
        if isinstance(parameter, CategoricalParameter) and len(parameter.choices) > 1
    )
    return Hints(basis, hints, together, choices)


def rank_correlation(one: _Floats, other: _Floats) -> float:
    """Return Spearman's rank correlation, equal values sharing their rank; 0 if one is constant."""
    ranks = [_ranks(values) for values in (one, other)]
    spreads = [values.std() for values in ranks]
    if min(spreads) == 0:
        return 0.0
    covariance = np.mean((ranks[0] - ranks[0].mean()) * (ranks[1] - ranks[1].mean()))
    return float(covariance / (spreads[0] * spreads[1]))


def place_in(parameter: Parameter, value: object) -> float:
    """Return where a value of a numeric parameter lies between its bounds, from 0 to 1.

    Raises:
        TypeError: if the parameter has no numbers for values.
    """
    if isinstance(parameter, FixedParameter | CategoricalParameter):
        raise TypeError("only numbers have a place")
    low, high, found = float(parameter.low), float(parameter.high), float(str(value))
    if low == high:
        return 0.5
    if parameter.log:
        return float((np.log(found) - np.log(low)) / (np.log(high) - np.log(low)))
    # Halved, for bounds near the largest float.
    return (found / 2 - low / 2) / (high / 2 - low / 2)


def value_at(parameter: FloatParameter | IntParameter, place: float) -> float:
    """Return the value at a place between a numeric parameter's bounds, from 0 to 1."""
    low, high = float(parameter.low), float(parameter.high)
    if parameter.log:
        return float(np.exp(np.log(low) * (1 - place) + np.log(high) * place))
    return low * (1 - place) + high * place


def _places(name: str, parameter: Parameter, records: Sequence[TrialRecord]) -> _Floats:
    values = [record.trial.parameters.params[name] for record in records]
    return np.asarray([place_in(parameter, value) for value in values], dtype=np.float64)


def _hint(
    name: str, parameter: FloatParameter | IntParameter, best: _Floats, everywhere: _Floats
) -> ParameterHint:
    width, of_all = _width(best), _width(everywhere)
    words = []
    if width <= _NARROW:
        words.append("narrow: the best trials agree on it")
        if of_all <= _NARROW:
            words.append("but the algorithm hardly tried other values")
    elif width >= _WIDE:
        words.append("wide: the loss hardly depends on it alone")
    else:
        words.append("in between")
    for share, where in (
        (np.mean(best <= _EDGE), "lower"),
        (np.mean(best >= 1 - _EDGE), "upper"),
    ):
        if share >= _EDGE_SHARE and width < _WIDE:
            words.append(
                f"{share:.0%} of them lie at the {where} bound: the space may be too small"
            )
    low, high = (value_at(parameter, float(np.quantile(best, part))) for part in _tails())
    return ParameterHint(name, width, of_all, low, high, "; ".join(words))


def _tails() -> tuple[float, float]:
    return (1 - _CENTRAL) / 2, (1 + _CENTRAL) / 2


def _width(places: _Floats) -> float:
    low, high = np.quantile(places, _tails())
    return float(min(1.0, (high - low) / _CENTRAL))


def _choice_words(name: str, parameter: CategoricalParameter, best: Sequence[TrialRecord]) -> str:
    # 1, 1.0 and True are equal to Python but are three choices here.
    taken = [repr(record.trial.parameters.params[name]) for record in best]
    shares = {repr(choice): taken.count(repr(choice)) / len(taken) for choice in parameter.choices}
    ordered = sorted(shares.items(), key=lambda item: -item[1])
    listed = ", ".join(f"{choice} in {share:.0%}" for choice, share in ordered[:5])
    more = f", {len(ordered) - 5} more" if len(ordered) > 5 else ""
    return f"{name}: {listed}{more} (by chance each would be in {1 / len(shares):.0%})"


def _ranks(values: _Floats) -> _Floats:
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    means = ends - (counts - 1) / 2
    return np.asarray(means[places], dtype=np.float64)
