import logging
import math
from collections.abc import Mapping
from typing import Any, ClassVar

import optuna
import pytest

from modelops.algorithms.optuna_sampler import create, optuna_seed
from modelops.contracts import (
    AdaptiveAlgorithm,
    AlgorithmSettings,
    CategoricalParameter,
    FixedParameter,
    FloatParameter,
    SearchSpace,
    TrialResult,
    TrialStatus,
    UniqueParameterSet,
)
from modelops.core.errors import AlgorithmError
from modelops.testing.algorithms import SPACE, AlgorithmContract


class OptunaContract(AlgorithmContract):
    def create(self, space: SearchSpace, settings: AlgorithmSettings) -> AdaptiveAlgorithm:
        return create(space, settings)


class TestTPE(OptunaContract):
    options: ClassVar[Mapping[str, Any]] = {"n_startup_trials": 5}


class TestRandom(OptunaContract):
    options: ClassVar[Mapping[str, Any]] = {"sampler": "random"}


class TestNSGAII(OptunaContract):
    options: ClassVar[Mapping[str, Any]] = {"sampler": "nsgaii", "population_size": 6}


def settings(seed: int = 7, n_trials: int = 25, **options: Any) -> AlgorithmSettings:
    return AlgorithmSettings(seed=seed, n_trials=n_trials, n_parallel=1, options=options)


def loss_of(params: Mapping[str, Any]) -> float:
    distance = math.log(params["beta"]) ** 2 + params["shift"] ** 2 + params["contacts"] / 20
    return distance + {"a": 0.0, "b": 1.0, "c": 2.0}[params["scenario"]]


def fails(number: int) -> bool:
    return number % 7 == 3


@pytest.mark.parametrize("sampler", ["tpe", "random", "nsgaii"])
@pytest.mark.parametrize("seed", [7, 2**32 - 1])
def test_asks_for_what_bare_optuna_would(sampler: str, seed: int) -> None:
    classes = {
        "tpe": optuna.samplers.TPESampler,
        "random": optuna.samplers.RandomSampler,
        "nsgaii": optuna.samplers.NSGAIISampler,
    }
    bare: list[dict[str, Any]] = []

    def objective(trial: optuna.Trial) -> float:
        params = {
            "beta": trial.suggest_float("beta", 0.1, 2.0, log=True),
            "shift": trial.suggest_float("shift", -1.0, 1.0),
            "contacts": trial.suggest_int("contacts", 1, 20),
            "scenario": trial.suggest_categorical("scenario", ["a", "b", "c"]),
        }
        bare.append(params)
        return math.nan if fails(trial.number) else loss_of(params)

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=classes[sampler](seed=seed), direction="minimize")
    study.optimize(objective, n_trials=25)

    algorithm = create(SPACE, settings(seed, sampler=sampler))
    ours: list[dict[str, Any]] = []
    while not algorithm.finished():
        (asked,) = algorithm.ask(1)
        params = dict(asked.params)
        assert params.pop("n_agents") == 1000
        ours.append(params)
        algorithm.tell([result(asked)])
    assert ours == bare


def result(asked: UniqueParameterSet) -> TrialResult:
    assert asked.trial is not None
    if fails(asked.trial):
        return TrialResult(asked.param_id, math.nan, status=TrialStatus.FAILED, trial=asked.trial)
    return TrialResult(asked.param_id, loss_of(asked.params), trial=asked.trial)


def test_it_gets_better_than_it_began() -> None:
    algorithm = create(SPACE, settings(n_trials=60))
    losses = []
    while not algorithm.finished():
        (asked,) = algorithm.ask(1)
        losses.append(loss_of(asked.params))
        algorithm.tell([TrialResult(asked.param_id, losses[-1], trial=asked.trial)])
    assert sum(losses[-20:]) < 0.5 * sum(losses[:20])


def test_choices_that_python_takes_for_equal_stay_apart() -> None:
    space = SearchSpace({"a": CategoricalParameter((1, 1.0, True, "1"))})
    asked = create(space, settings(n_trials=40, sampler="random")).ask(40)
    assert {type(item.params["a"]) for item in asked} == {int, float, bool, str}


def test_a_space_without_anything_to_vary() -> None:
    space = SearchSpace({"a": FixedParameter(2), "b": FloatParameter(1.0, 1.0)})
    asked = create(space, settings(n_trials=2)).ask(5)
    assert [dict(item.params) for item in asked] == [{"a": 2, "b": 1.0}] * 2


def test_seeds_of_64_bits_are_folded_and_smaller_ones_kept() -> None:
    assert optuna_seed(2**32 - 1) == 2**32 - 1
    folded = {optuna_seed(2**32 + shift) for shift in range(50)}
    assert len(folded) == 50
    assert all(0 <= seed < 2**32 for seed in folded)


def test_a_result_without_a_number_belongs_to_its_parameters() -> None:
    numbered, unnumbered = (create(SPACE, settings()) for _ in range(2))
    for algorithm, with_number in ((numbered, True), (unnumbered, False)):
        for _ in range(15):
            (asked,) = algorithm.ask(1)
            trial = asked.trial if with_number else None
            algorithm.tell([TrialResult(asked.param_id, loss_of(asked.params), trial=trial)])
    assert numbered.ask(1) == unnumbered.ask(1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sampler": "tpee"}, "Did you mean `tpe`"),
        ({"n_startup_trails": 3}, "Did you mean `n_startup_trials`"),
        ({"sampler": "random", "n_startup_trials": 3}, "no option 'n_startup_trials'"),
        ({"n_startup_trials": -1}, "a whole number from 0"),
        ({"n_startup_trials": True}, "a whole number from 0"),
        ({"multivariate": 1}, "true or false"),
        ({"sampler": "nsgaii", "crossover_prob": 1.5}, "a number from 0 to 1"),
        ({"sampler": ["tpe"]}, "no sampler"),
    ],
)
def test_wrong_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(AlgorithmError) as caught:
        create(SPACE, settings(**options))
    assert message in str(caught.value)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    ("sampler", "package"), [("cmaes", "cmaes"), ("gp", "torch"), ("qmc", "scipy")]
)
def test_a_sampler_whose_package_is_missing_says_how_to_install_it(
    sampler: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(AlgorithmError, match=rf"needs .*{package}(?s:.*)modelops\[{sampler}\]"):
        create(SPACE, settings(sampler=sampler))


def test_optuna_writes_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    optuna.logging.set_verbosity(logging.INFO)
    algorithm = create(SPACE, settings(n_trials=3, multivariate=True))
    for asked in algorithm.ask(3):
        algorithm.tell([result(asked)])
    assert capfd.readouterr() == ("", "")
