"""Optuna's samplers within constraints between parameters."""

import importlib.util
import math
from typing import Any

import pytest
from optuna.trial import TrialState

from modelops.algorithms import optuna_study
from modelops.algorithms.optuna_sampler import create
from modelops.algorithms.optuna_study import OptunaAlgorithm
from modelops.contracts import (
    AlgorithmSettings,
    CategoricalParameter,
    Constraint,
    FixedParameter,
    FloatParameter,
    IntParameter,
    Scalar,
    SearchSpace,
    TrialResult,
)
from modelops.core.errors import AlgorithmError

SQUARE = {"x": FloatParameter(0.0, 1.0), "y": FloatParameter(0.0, 1.0)}
SAMPLERS = ["tpe", "random", "cmaes", "qmc", "nsgaii"]


def make(
    constraint: str, *, n_trials: int = 40, parameters: Any = SQUARE, **options: Any
) -> OptunaAlgorithm:
    space = SearchSpace(parameters, (Constraint(constraint),))
    settings = AlgorithmSettings(seed=1, n_trials=n_trials, n_parallel=4, options=options)
    algorithm = create(space, settings)
    assert isinstance(algorithm, OptunaAlgorithm)
    return algorithm


def run(algorithm: OptunaAlgorithm, batch: int = 4) -> list[tuple[dict[str, Scalar], float]]:
    """Minimise the distance from (0.9, 0.9)."""
    found = []
    while asked := algorithm.ask(batch):
        losses = [
            math.hypot(float(item.params["x"]) - 0.9, float(item.params["y"]) - 0.9)
            for item in asked
        ]
        found += [(dict(item.params), loss) for item, loss in zip(asked, losses, strict=True)]
        algorithm.tell(
            [
                TrialResult(item.param_id, loss, trial=item.trial)
                for item, loss in zip(asked, losses, strict=True)
            ]
        )
    return found


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_trial_keeps_to_them_and_none_is_spent_on_what_they_refuse(sampler: str) -> None:
    found = run(make("x + y <= 0.8", sampler=sampler))
    assert len(found) == 40
    assert all(float(params["x"]) + float(params["y"]) <= 0.8 for params, _ in found)


@pytest.mark.parametrize("sampler", ["tpe", "cmaes", "nsgaii"])
def test_an_optimum_at_the_edge_of_what_is_allowed_is_approached(sampler: str) -> None:
    found = run(make("x + y <= 0.8", n_trials=200, sampler=sampler))
    best = min(loss for _, loss in found)
    assert best == pytest.approx(math.hypot(0.5, 0.5), rel=0.03)
    early = sum(loss for _, loss in found[:40])
    assert sum(loss for _, loss in found[-40:]) < early


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_region_that_suggestions_hardly_hit_is_searched_at_random(sampler: str) -> None:
    parameters = {
        **SQUARE,
        "n": IntParameter(1, 100),
        "kind": CategoricalParameter(("a", 1, True)),
        "fixed": FixedParameter(3),
    }
    constraint = "x > 0.9 and y > 0.9 and n > 90 and kind == 1"
    found = run(make(constraint, n_trials=6, parameters=parameters, sampler=sampler))
    assert len(found) == 6
    for params, _ in found:
        assert Constraint(constraint).holds(params)
        assert type(params["kind"]) is int
        assert params["fixed"] == 3
    assert len({params["x"] for params, _ in found}) == 6


def test_constraints_that_nothing_fulfils(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optuna_study, "MAX_REFUSED", 100)
    with pytest.raises(AlgorithmError, match="allow none: x > 2"):
        make("x > 2").ask(1)


def test_to_tpe_there_are_never_more_refused_suggestions_than_completed_trials() -> None:
    algorithm = make("x * y > 0.8", n_trials=30, n_startup_trials=8)
    pruned_at = []
    for count in range(30):
        asked = algorithm.ask(1)
        trials = algorithm._study.get_trials(deepcopy=False)
        states = [trial.state for trial in trials]
        pruned, completed = (
            states.count(state) for state in (TrialState.PRUNED, TrialState.COMPLETE)
        )
        assert completed == count
        assert pruned <= completed
        assert not pruned or completed >= 8
        pruned_at.append(pruned)
        algorithm.tell([TrialResult(item.param_id, 1.0, trial=item.trial) for item in asked])
    assert pruned_at[-1] > 0


def test_constraints_that_refuse_nothing_change_nothing() -> None:
    space = SearchSpace(SQUARE)
    settings = AlgorithmSettings(seed=1, n_trials=40, n_parallel=4, options={})
    bare = create(space, settings)
    assert isinstance(bare, OptunaAlgorithm)
    assert run(make("x >= 0")) == run(bare)


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch isn't installed")
def test_gp_keeps_to_them_too() -> None:
    found = run(make("x + y <= 0.8", n_trials=20, sampler="gp"))
    assert all(float(params["x"]) + float(params["y"]) <= 0.8 for params, _ in found)
