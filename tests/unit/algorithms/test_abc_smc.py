"""ABC-SMC against posteriors that are known, and its independence of timing."""

import json
import math
import random
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np
import pytest

from modelops.algorithms.abc_sampler import AbcSmc
from modelops.algorithms.abc_smc import create
from modelops.contracts import (
    AdaptiveAlgorithm,
    AlgorithmSettings,
    CategoricalParameter,
    Constraint,
    ContractError,
    FixedParameter,
    FloatParameter,
    HasPosterior,
    IntParameter,
    Population,
    Posterior,
    Scalar,
    SearchSpace,
    TrialResult,
    TrialStatus,
    UniqueParameterSet,
)
from modelops.core.errors import AlgorithmError
from modelops.testing.algorithms import SPACE, AlgorithmContract

Distance = Callable[[Mapping[str, Any], np.random.Generator], float]

RATE = SearchSpace({"p": FloatParameter(0.0, 1.0)})
MEAN = SearchSpace({"mean": FloatParameter(-10.0, 10.0)})
SUCCESSES, DRAWS = 2, 5


class TestContract(AlgorithmContract):
    options: ClassVar[Mapping[str, Any]] = {"population_size": 4}

    def create(self, space: SearchSpace, settings: AlgorithmSettings) -> AdaptiveAlgorithm:
        return create(space, settings)


class TestContractOfLocalKernels(TestContract):
    options: ClassVar[Mapping[str, Any]] = {
        "population_size": 3,
        "kernel": "local",
        "tolerance": "ess",
    }


def make(
    space: SearchSpace, n_trials: int, *, n_parallel: int = 16, seed: int = 1, **options: Any
) -> AbcSmc:
    settings = AlgorithmSettings(
        seed=seed, n_trials=n_trials, n_parallel=n_parallel, options=options
    )
    algorithm = create(space, settings)
    assert isinstance(algorithm, AbcSmc)
    return algorithm


def result(
    asked: UniqueParameterSet, distance: Distance, rng: np.random.Generator | None = None
) -> TrialResult:
    """Return the result that follows from the parameters, or from the state of `rng`."""
    found = distance(asked.params, rng or np.random.default_rng(int(asked.param_id[:12], 16)))
    status = TrialStatus.COMPLETED if math.isfinite(found) else TrialStatus.FAILED
    return TrialResult(asked.param_id, found, status=status, trial=asked.trial)


def run(algorithm: AbcSmc, distance: Distance, batch: int = 64) -> Population:
    """Run in batches and return the last population."""
    rng = np.random.default_rng(0)
    while asked := algorithm.ask(batch):
        algorithm.tell([result(item, distance, rng) for item in asked])
    assert algorithm.finished()
    return algorithm.posterior().populations[-1]


def run_in_window(algorithm: AbcSmc, distance: Distance, n_parallel: int) -> list[Population]:
    """Run as the runner does."""
    asked: list[UniqueParameterSet] = []
    told = 0
    while True:
        fresh = [] if len(asked) - told >= n_parallel else algorithm.ask(1)
        asked += fresh
        if not fresh:
            if told == len(asked):
                return list(algorithm.posterior().populations)
            algorithm.tell([result(asked[told], distance)])
            told += 1


def moments(population: Population, name: str) -> tuple[float, float]:
    weights = np.array([particle.weight for particle in population.particles])
    values = np.array([particle.params[name] for particle in population.particles], dtype=float)
    mean = float(weights @ values)
    return mean, math.sqrt(float(weights @ (values - mean) ** 2))


def shares(population: Population, name: str) -> dict[Scalar, float]:
    found: dict[Scalar, float] = {}
    for particle in population.particles:
        value = particle.params[name]
        found[value] = found.get(value, 0.0) + particle.weight
    return found


def binomial(params: Mapping[str, Any], rng: np.random.Generator) -> float:
    return float(abs(rng.binomial(DRAWS, params["p"]) - SUCCESSES))


def normal(params: Mapping[str, Any], rng: np.random.Generator) -> float:
    """Return how far a draw from N(mean, 1) is from the observed 1.5."""
    return float(abs(rng.normal(params["mean"], 1.0) - 1.5))


@pytest.mark.parametrize(
    ("kernel", "tolerance", "seed"),
    [
        ("multivariate", "quantile", 1),
        ("componentwise", "ess", 2),
        ("local", "quantile", 3),
    ],
)
def test_the_posterior_of_a_binomial_rate(kernel: str, tolerance: str, seed: int) -> None:
    algorithm = make(
        RATE, 60_000, seed=seed, population_size=3000, kernel=kernel, tolerance=tolerance
    )
    last = run(algorithm, binomial, batch=500)
    assert last.tolerance == 0.0
    # Beta(1 + 2, 1 + 3).
    assert moments(last, "p") == pytest.approx((3 / 7, math.sqrt(3 * 4 / (49 * 8))), rel=0.05)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_posterior_of_a_normal_mean(seed: int) -> None:
    space = SearchSpace({"mean": FloatParameter(-4.0, 7.0)})
    algorithm = make(space, 60_000, seed=seed, population_size=3000, minimum_tolerance=1.0)
    last = run(algorithm, normal, batch=500)
    assert last.tolerance == 1.0
    # The tolerance adds the variance of a uniform distribution of its width.
    assert moments(last, "mean") == pytest.approx((1.5, math.sqrt(1 + 1.0**2 / 3)), rel=0.05)


@pytest.mark.parametrize("kernel", ["multivariate", "local", "componentwise"])
def test_whole_numbers_choices_and_logarithms_have_their_posterior(kernel: str) -> None:
    space = SearchSpace(
        {
            "n": IntParameter(1, 5),
            "kind": CategoricalParameter(("low", "high", "never")),
            "unused": CategoricalParameter(("a", "b")),
            "scale": FloatParameter(0.01, 100.0, log=True),
            "fixed": FixedParameter(1),
        }
    )
    rates = {"low": 0.2, "high": 0.6, "never": 0.0}

    def distance(params: Mapping[str, Any], rng: np.random.Generator) -> float:
        return float(abs(rng.binomial(params["n"], rates[params["kind"]]) - 2))

    last = run(make(space, 60_000, seed=3, population_size=2000, kernel=kernel), distance, 500)
    assert last.tolerance == 0.0
    joint = {
        (n, kind): math.comb(n, 2) * rate**2 * (1 - rate) ** (n - 2)
        for n in range(2, 6)
        for kind, rate in rates.items()
    }
    whole = sum(joint.values())
    for name, index in (("n", 0), ("kind", 1)):
        found = shares(last, name)
        for value in {key[index] for key in joint}:
            expected = sum(share for key, share in joint.items() if key[index] == value) / whole
            assert found.get(value, 0.0) == pytest.approx(expected, abs=0.04), (name, value)
    assert shares(last, "unused")["a"] == pytest.approx(0.5, abs=0.04)
    logs = [math.log10(float(particle.params["scale"])) for particle in last.particles]
    mean = sum(log * item.weight for log, item in zip(logs, last.particles, strict=True))
    assert mean == pytest.approx(0.0, abs=0.1)


@pytest.mark.parametrize("kernel", ["multivariate", "local", "componentwise"])
def test_a_distance_that_tells_nothing_leaves_the_prior_also_at_its_edges(kernel: str) -> None:
    space = SearchSpace(
        {"x": FloatParameter(0.0, 1.0), "y": FloatParameter(0.0, 1.0)},
        (Constraint("x + y <= 1"),),
    )
    algorithm = make(space, 50_000, seed=2, population_size=2000, max_generations=3, kernel=kernel)
    last = run(algorithm, lambda params, rng: float(rng.random()), 500)
    assert last.generation == 2
    assert all(float(item.params["x"]) + float(item.params["y"]) <= 1 for item in last.particles)
    for name in ("x", "y"):
        mean, deviation = moments(last, name)
        assert mean == pytest.approx(1 / 3, abs=0.02)
        assert deviation == pytest.approx(math.sqrt(1 / 18), rel=0.05)


def test_populations_depend_neither_on_how_many_run_at_once_nor_on_which_are_quick() -> None:
    def populations(n_parallel: int) -> list[Any]:
        found = run_in_window(make(MEAN, 1500, population_size=50), normal, n_parallel)
        return [
            (item.tolerance, [(p.params, p.weight, p.distance) for p in item.particles])
            for item in found
        ]

    def shuffled(seed: int) -> list[Any]:
        """Tell in any order, one at a time, as if some simulations took much longer."""
        algorithm, chance = make(MEAN, 1500, population_size=50), random.Random(seed)
        open_trials: list[UniqueParameterSet] = []
        while True:
            open_trials += algorithm.ask(24 - len(open_trials))
            if not open_trials:
                break
            chosen = open_trials.pop(chance.randrange(len(open_trials)))
            algorithm.tell([result(chosen, normal)])
        return [
            (item.tolerance, [(p.params, p.weight, p.distance) for p in item.particles])
            for item in algorithm.posterior().populations
        ]

    alone = populations(1)
    assert len(alone) >= 5
    for others in (populations(16), populations(300), shuffled(1), shuffled(2)):
        # With more at once a few more trials are spent on each generation.
        common = min(len(alone), len(others))
        assert common >= 4
        assert others[:common] == alone[:common]


def test_quick_simulations_are_not_favoured() -> None:
    """Both choices have equal distances; the trials of one always come back first."""
    space = SearchSpace({"slow": CategoricalParameter((False, True))})
    algorithm = make(space, 4000, population_size=400, max_generations=2)
    open_trials: list[UniqueParameterSet] = []
    rng = np.random.default_rng(0)
    while True:
        open_trials += algorithm.ask(200 - len(open_trials))
        if not open_trials:
            break
        open_trials.sort(key=lambda item: (item.params["slow"], item.trial))
        first = open_trials.pop(0)
        algorithm.tell([result(first, lambda params, rng: float(rng.random()), rng)])
    last = algorithm.posterior().populations[-1]
    assert last.generation == 1
    assert shares(last, "slow")[True] == pytest.approx(0.5, abs=0.08)


def test_failed_trials_are_draws_that_are_rejected() -> None:
    def distance(params: Mapping[str, Any], rng: np.random.Generator) -> float:
        return normal(params, rng) if params["mean"] > 1.5 else math.nan

    last = run(make(MEAN, 20_000, population_size=500, minimum_tolerance=0.5), distance)
    assert last.tolerance == 0.5
    assert min(float(item.params["mean"]) for item in last.particles) > 1.5
    first = make(MEAN, 4000, population_size=500, max_generations=1)
    assert run(first, distance).acceptance_rate == pytest.approx(8.5 / 20, abs=0.05)


def test_what_a_population_says() -> None:
    algorithm = make(MEAN, 3000, population_size=100)
    assert isinstance(algorithm, HasPosterior)
    assert algorithm.posterior() == Posterior()
    run(algorithm, normal)
    first, second, *_, last = algorithm.posterior().populations
    assert (first.generation, first.tolerance, first.acceptance_rate) == (0, None, 1.0)
    assert first.ess == pytest.approx(100)
    distances = sorted(particle.distance for particle in first.particles)
    assert second.tolerance == distances[49]
    for population in (first, second, last):
        assert len(population.particles) == 100
        weights = [particle.weight for particle in population.particles]
        assert sum(weights) == pytest.approx(1)
        assert population.ess == pytest.approx(1 / sum(weight**2 for weight in weights))
        trials = [particle.trial for particle in population.particles]
        assert trials == sorted(trials)
        if population.tolerance is not None:
            assert all(item.distance <= population.tolerance for item in population.particles)
    tolerances = [item.tolerance for item in algorithm.posterior().populations[1:]]
    assert tolerances == sorted(tolerances, reverse=True)


def test_a_posterior_as_json() -> None:
    algorithm = make(SPACE, 100, population_size=10)
    run(algorithm, lambda params, rng: float(params["contacts"]))
    posterior = algorithm.posterior()
    assert len(posterior.populations) > 1
    text = json.dumps(posterior.to_json(), allow_nan=False)
    assert Posterior.from_json(json.loads(text)) == posterior
    column = json.loads(text)[0]["params"]["scenario"]
    assert len(column) == 10
    with pytest.raises(ContractError, match="isn't a posterior"):
        Posterior.from_json([{"generation": 0}])


def test_the_tolerance_by_effective_sample_size_of_equal_weights_is_a_quantile() -> None:
    found = []
    for rule in ("quantile", "ess"):
        algorithm = make(MEAN, 1000, population_size=100, tolerance=rule, alpha=0.3)
        run(algorithm, normal)
        found.append(algorithm.posterior().populations[1].tolerance)
    assert found[0] == found[1]


@pytest.mark.parametrize("kernel", ["multivariate", "local", "componentwise"])
def test_a_posterior_that_is_a_tiny_part_of_the_prior(kernel: str) -> None:
    algorithm = make(
        SearchSpace({"x": FloatParameter(0.0, 1.0), "y": FloatParameter(0.0, 1.0)}),
        20_000,
        population_size=100,
        minimum_tolerance=1e-9,
        kernel=kernel,
    )
    last = run(algorithm, lambda params, rng: math.hypot(params["x"] - 0.3, params["y"] - 0.7))
    assert last.tolerance == 1e-9
    assert last.acceptance_rate > 0.2
    assert last.ess > 40
    assert moments(last, "x")[0] == pytest.approx(0.3, abs=1e-9)


def test_it_ends_where_the_tolerance_cannot_become_smaller() -> None:
    algorithm = make(MEAN, 1000, population_size=50)
    last = run(algorithm, lambda params, rng: 2.0)
    assert len(last.particles) == 50
    assert algorithm.ask(1) == []


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_losses_may_be_negative(sign: float) -> None:
    last = run(
        make(MEAN, 2000, population_size=50), lambda params, rng: sign * float(params["mean"])
    )
    assert moments(last, "mean")[0] * sign < -9


def test_a_generation_does_not_ask_for_more_than_it_can_use() -> None:
    algorithm = make(MEAN, 1000, population_size=20)
    first = algorithm.ask(100)
    assert len(first) == 20
    assert algorithm.ask(100) == []
    assert not algorithm.finished()
    failed = [
        TrialResult(item.param_id, math.nan, status=TrialStatus.FAILED, trial=item.trial)
        for item in first[:3]
    ]
    algorithm.tell(failed)
    assert len(algorithm.ask(100)) == 3


def test_a_space_without_anything_to_vary() -> None:
    space = SearchSpace(
        {"a": FixedParameter(2), "b": FloatParameter(1.0, 1.0), "c": CategoricalParameter(("x",))}
    )
    last = run(make(space, 200, population_size=10), lambda params, rng: float(rng.random()))
    assert dict(last.particles[0].params) == {"a": 2, "b": 1.0, "c": "x"}


@pytest.mark.parametrize(("n_trials", "size"), [(1000, 100), (300, 60), (3, 2)])
def test_the_population_is_a_hundred_or_a_fifth_of_the_trials(n_trials: int, size: int) -> None:
    assert len(make(MEAN, n_trials).ask(n_trials)) == size


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"population_size": 1}, "a whole number from 2"),
        ({"population_size": 101}, "population_size is 101, and n_trials is 100"),
        ({"alpha": 1}, "between 0 and 1"),
        ({"alpha": 0.0}, "between 0 and 1"),
        ({"tolerance": "median"}, "quantile, ess"),
        ({"kernel": "normal"}, "multivariate, local, componentwise"),
        ({"minimum_tolerance": math.inf}, "a number"),
        ({"max_generations": 0}, "a whole number from 1"),
        ({"population": 10}, "Did you mean `population_size`"),
    ],
)
def test_wrong_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(AlgorithmError) as caught:
        make(MEAN, 100, **options)
    assert message in str(caught.value)
    assert isinstance(caught.value, ValueError)


def test_constraints_that_nothing_fulfils(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modelops.algorithms.abc_sampler.MAX_REFUSED", 100)
    algorithm = make(SearchSpace(MEAN.parameters, (Constraint("mean > 20"),)), 100)
    with pytest.raises(AlgorithmError, match="allow none: mean > 20"):
        algorithm.ask(1)
