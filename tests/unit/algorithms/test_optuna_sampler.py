import importlib.util
import logging
import math
import warnings
from collections.abc import Mapping, Sequence
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


class TestCMAES(OptunaContract):
    options: ClassVar[Mapping[str, Any]] = {"sampler": "cmaes", "popsize": 4}


class TestQMC(OptunaContract):
    options: ClassVar[Mapping[str, Any]] = {"sampler": "qmc", "scramble": True}


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch isn't installed")
class TestGP(OptunaContract):
    n_trials = 12
    options: ClassVar[Mapping[str, Any]] = {"sampler": "gp", "n_startup_trials": 5}


class TestUnivariateTPE(OptunaContract):
    options: ClassVar[Mapping[str, Any]] = {
        "n_startup_trials": 5,
        "multivariate": False,
        "constant_liar": False,
    }


def settings(seed: int = 7, n_trials: int = 25, **options: Any) -> AlgorithmSettings:
    return AlgorithmSettings(seed=seed, n_trials=n_trials, n_parallel=1, options=options)


def loss_of(params: Mapping[str, Any]) -> float:
    distance = math.log(params["beta"]) ** 2 + params["shift"] ** 2 + params["contacts"] / 20
    return distance + {"a": 0.0, "b": 1.0, "c": 2.0}[params["scenario"]]


def fails(number: int) -> bool:
    return number % 7 == 3


@pytest.mark.parametrize(
    ("sampler", "options"),
    [
        ("tpe", {}),
        ("tpe", {"multivariate": False, "constant_liar": False, "n_startup_trials": 3}),
        ("random", {}),
        ("cmaes", {}),
        ("cmaes", {"popsize": 4, "sigma0": 0.3}),
        ("qmc", {}),
        ("qmc", {"qmc_type": "halton", "scramble": True}),
        ("nsgaii", {"population_size": 8}),
    ],
)
@pytest.mark.parametrize("seed", [7, 2**32 - 1])
def test_asks_for_what_bare_optuna_would(sampler: str, options: dict[str, Any], seed: int) -> None:
    classes: dict[str, Any] = {
        "tpe": optuna.samplers.TPESampler,
        "random": optuna.samplers.RandomSampler,
        "cmaes": optuna.samplers.CmaEsSampler,
        "qmc": optuna.samplers.QMCSampler,
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
    with warnings.catch_warnings():
        # Of options that a later version drops, and of samplers that are experimental.
        warnings.simplefilter("ignore")
        bare_sampler = classes[sampler](seed=seed, **options)
    study = optuna.create_study(sampler=bare_sampler, direction="minimize")
    study.optimize(objective, n_trials=40)

    algorithm = create(SPACE, settings(seed, n_trials=40, sampler=sampler, **options))
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
    for options in ({"multivariate": True}, {"sampler": "cmaes", "sigma0": 0.2}):
        algorithm = create(SPACE, settings(n_trials=3, **options))
        for asked in algorithm.ask(3):
            algorithm.tell([result(asked)])
    assert capfd.readouterr() == ("", "")


def test_cmaes_asks_for_no_trial_that_its_generation_does_not_need() -> None:
    space = SearchSpace({"x": FloatParameter(-1.0, 1.0), "y": FloatParameter(-1.0, 1.0)})
    algorithm = create(space, settings(7, n_trials=40, sampler="cmaes", popsize=4))

    def ends(asked: Sequence[UniqueParameterSet], status: TrialStatus) -> None:
        for item in asked:
            loss = item.params["x"] ** 2 if status is TrialStatus.COMPLETED else math.nan
            algorithm.tell([TrialResult(item.param_id, loss, status=status, trial=item.trial)])

    first = algorithm.ask(16)
    assert len(first) == 1
    assert algorithm.ask(16) == []
    ends(first, TrialStatus.COMPLETED)
    generation = algorithm.ask(16)
    assert len(generation) == 4
    assert algorithm.ask(16) == []
    # Of the four, one brings nothing: another takes its place, and only then there is a next four.
    ends(generation[:1], TrialStatus.FAILED)
    instead = algorithm.ask(16)
    assert len(instead) == 1
    ends(generation[1:], TrialStatus.COMPLETED)
    assert algorithm.ask(16) == []
    ends(instead, TrialStatus.COMPLETED)
    assert len(algorithm.ask(16)) == 4


def test_cmaes_waits_for_nothing_where_there_are_only_choices() -> None:
    space = SearchSpace({"kind": CategoricalParameter(("a", "b", "c"))})
    algorithm = create(space, settings(7, n_trials=40, sampler="cmaes"))
    (first,) = algorithm.ask(16)
    algorithm.tell([TrialResult(first.param_id, 1.0, trial=first.trial)])
    assert len(algorithm.ask(16)) == 16
