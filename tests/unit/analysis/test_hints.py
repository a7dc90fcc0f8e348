"""What is read off the best trials of a run."""

import math
import random
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelops.analysis.hints import hints_of, place_in, rank_correlation
from modelops.analysis.known_run import KnownRun
from modelops.contracts import (
    CategoricalParameter,
    FloatParameter,
    IntParameter,
    Scalar,
    SearchSpace,
    TrialStatus,
    UniqueParameterSet,
)
from modelops.runner.records import Trial, TrialOutcome, TrialRecord
from stored_run import make_plan

SPACE = SearchSpace(
    {
        "a": FloatParameter(0.0, 1.0),
        "b": FloatParameter(0.001, 1.0, log=True),
        "n": IntParameter(1, 100),
        "s": CategoricalParameter(("x", "y")),
    }
)


def run_of(loss: Callable[[Mapping[str, Scalar]], float], trials: int = 1_000) -> KnownRun:
    chance = random.Random(3)
    plan = make_plan(space=SPACE)
    records = []
    for number in range(trials):
        params: dict[str, Scalar] = {
            "a": chance.random(),
            "b": 10 ** chance.uniform(-3, 0),
            "n": chance.randint(1, 100),
            "s": chance.choice("xy"),
        }
        trial = Trial.planned(plan, UniqueParameterSet.from_dict(params, trial=number))
        records.append(TrialRecord(trial, TrialOutcome(TrialStatus.COMPLETED, loss(params))))
    return KnownRun("run", plan, tuple(records))


def number(value: Scalar) -> float:
    return float(str(value))


def test_what_the_loss_fixes_is_narrow_and_the_rest_is_wide() -> None:
    run = run_of(lambda params: abs(number(params["a"]) - 0.6))
    hints = {hint.name: hint for hint in hints_of(run).parameters}
    assert hints["a"].best < 0.15
    assert hints["a"].everywhere > 0.95
    assert hints["a"].low < 0.6 < hints["a"].high
    assert hints["a"].words == "narrow: the best trials agree on it"
    for name in ("b", "n"):
        assert hints[name].best > 0.8
        assert hints[name].words == "wide: the loss hardly depends on it alone"


def test_a_narrow_search_is_told_from_narrow_data() -> None:
    run = run_of(lambda params: number(params["n"]))
    records = [
        replace(
            record,
            trial=replace(
                record.trial,
                parameters=UniqueParameterSet.from_dict(
                    {**record.trial.parameters.params, "a": 0.5 + index / 10_000}, trial=index
                ),
            ),
        )
        for index, record in enumerate(run.records)
    ]
    (hint, *_) = hints_of(replace(run, records=tuple(records))).parameters
    assert "the algorithm hardly tried other values" in hint.words


def test_a_bound_that_is_too_narrow_is_named() -> None:
    run = run_of(lambda params: -math.log(number(params["b"])))
    hints = {hint.name: hint for hint in hints_of(run).parameters}
    assert "lie at the upper bound" in hints["b"].words
    assert "bound" not in hints["a"].words


def test_parameters_that_are_fixed_together_only_are_named() -> None:
    run = run_of(
        lambda params: abs(number(params["a"]) - (math.log10(number(params["b"])) / 3 + 1))
    )
    found = hints_of(run)
    ((one, other, correlation),) = found.together
    assert (one, other) == ("a", "b")
    assert correlation > 0.9
    assert found.basis == "the 100 best of 1,000 trials that completed"


def test_choices_are_counted() -> None:
    run = run_of(lambda params: float(params["s"] == "x") + number(params["a"]))
    (words,) = hints_of(run).choices
    assert words == "s: 'y' in 100%, 'x' in 0% (by chance each would be in 50%)"


def test_a_few_trials_are_too_few() -> None:
    found = hints_of(run_of(lambda _: 1.0, trials=9))
    assert found.basis == "Completed trials: 9; hints need 10."
    assert (found.parameters, found.together, found.choices) == ((), (), ())
    assert hints_of(run_of(lambda _: 1.0, trials=10)).parameters


@given(st.lists(st.integers(-5, 5), min_size=3, max_size=30), st.randoms(use_true_random=False))
def test_rank_correlation_is_of_ranks(values: list[int], chance: random.Random) -> None:
    one = np.asarray(values, dtype=np.float64)
    other = np.asarray([chance.randint(-5, 5) for _ in values], dtype=np.float64)
    found = rank_correlation(one, other)
    assert -1.000001 <= found <= 1.000001
    assert found == pytest.approx(rank_correlation(other, one))
    assert found == pytest.approx(rank_correlation(np.exp(one), other))
    assert found == pytest.approx(-rank_correlation(-one, other))
    if one.std() > 0:
        assert rank_correlation(one, one) == pytest.approx(1)


def test_places_are_between_the_bounds() -> None:
    assert place_in(FloatParameter(-2.0, 2.0), 1.0) == 0.75
    assert place_in(FloatParameter(0.01, 100.0, log=True), 1.0) == pytest.approx(0.5)
    assert place_in(IntParameter(3, 3), 3) == 0.5
    assert place_in(FloatParameter(-1.7e308, 1.7e308), 0.0) == pytest.approx(0.5)
    with pytest.raises(TypeError):
        place_in(CategoricalParameter(("a",)), "a")
