"""Sobol, Halton, LHS and grid."""

import math
import warnings
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np
import pytest
from scipy.stats import qmc

from modelops.algorithms import grid, halton, lhs, sobol
from modelops.contracts import (
    AdaptiveAlgorithm,
    AlgorithmSettings,
    CategoricalParameter,
    Constraint,
    FixedParameter,
    FloatParameter,
    IntParameter,
    Scalar,
    SearchSpace,
)
from modelops.core.errors import AlgorithmError
from modelops.testing.algorithms import SPACE, AlgorithmContract

Factory = Callable[[SearchSpace, AlgorithmSettings], AdaptiveAlgorithm]
SAMPLED = pytest.mark.parametrize("create", [sobol.create, halton.create, lhs.create])
UNIT = SearchSpace({"x": FloatParameter(0.0, 1.0), "y": FloatParameter(0.0, 1.0)})


class TestSobol(AlgorithmContract):
    def create(self, space: SearchSpace, settings: AlgorithmSettings) -> AdaptiveAlgorithm:
        return sobol.create(space, settings)


class TestHalton(AlgorithmContract):
    def create(self, space: SearchSpace, settings: AlgorithmSettings) -> AdaptiveAlgorithm:
        return halton.create(space, settings)


class TestLatinHypercube(AlgorithmContract):
    def create(self, space: SearchSpace, settings: AlgorithmSettings) -> AdaptiveAlgorithm:
        return lhs.create(space, settings)


class TestGrid(AlgorithmContract):
    options: ClassVar[Mapping[str, Any]] = {
        "points": {"beta": 2, "shift": 2, "contacts": 2},
    }

    def create(self, space: SearchSpace, settings: AlgorithmSettings) -> AdaptiveAlgorithm:
        return grid.create(space, settings)


def settings(n_trials: int, seed: int = 5, **options: Any) -> AlgorithmSettings:
    return AlgorithmSettings(seed=seed, n_trials=n_trials, n_parallel=1, options=options)


def asked(algorithm: AdaptiveAlgorithm) -> list[dict[str, Scalar]]:
    points = []
    while not algorithm.finished():
        points += [dict(item.params) for item in algorithm.ask(7)]
    return points


def shares(create: Factory, n: int, seed: int = 5, **options: Any) -> np.ndarray:
    points = asked(create(UNIT, settings(n, seed, **options)))
    return np.array([[point["x"], point["y"]] for point in points], dtype=float)


@SAMPLED
def test_points_are_spread_more_evenly_than_random_ones(create: Factory) -> None:
    ours = [qmc.discrepancy(shares(create, 128, seed)) for seed in range(10)]
    chance = [qmc.discrepancy(np.random.default_rng(seed).random((128, 2))) for seed in range(10)]
    assert np.median(ours) < 0.6 * np.median(chance)


@pytest.mark.parametrize("create", [sobol.create, halton.create])
def test_point_i_depends_neither_on_the_number_of_trials_nor_on_how_many_are_asked(
    create: Factory,
) -> None:
    whole = create(SPACE, settings(200)).ask(200)
    algorithm = create(SPACE, settings(130))
    assert [*algorithm.ask(1), *algorithm.ask(129)] == whole[:130]


@SAMPLED
def test_another_seed_gives_other_points(create: Factory) -> None:
    assert not np.array_equal(shares(create, 8, seed=1), shares(create, 8, seed=2))
    assert not np.array_equal(shares(create, 8, seed=2**63), shares(create, 8, seed=2**64 - 1))


@pytest.mark.parametrize("create", [sobol.create, halton.create])
def test_without_scrambling_the_sequence_begins_at_the_lower_corner(create: Factory) -> None:
    points = shares(create, 3, scramble=False)
    assert points[0].tolist() == [0.0, 0.0]
    assert points[1, 0] == 0.5
    assert np.array_equal(points, shares(create, 3, seed=6, scramble=False))


def test_sobol_is_scipys_and_does_not_warn_of_a_number_that_is_no_power_of_2() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ours = shares(sobol.create, 100)
    theirs = qmc.Sobol(2, seed=np.random.default_rng(5)).random_base2(7)[:100]
    assert np.array_equal(ours, theirs)


@pytest.mark.parametrize("n", [1, 7, 100])
def test_a_latin_hypercube_has_one_trial_in_each_part_of_every_range(n: int) -> None:
    for column in shares(lhs.create, n).T:
        assert sorted(np.floor(column * n).astype(int)) == list(range(n))


@SAMPLED
def test_whole_numbers_and_choices_have_equal_shares(create: Factory) -> None:
    space = SearchSpace(
        {
            "count": IntParameter(1, 4),
            "choice": CategoricalParameter(("a", 1, True, 1.0)),
            "exponent": IntParameter(1, 1000, log=True),
        }
    )
    points = asked(create(space, settings(1024)))
    for name in ("count", "choice"):
        counts = Counter((type(point[name]), point[name]) for point in points)
        assert len(counts) == 4
        assert max(counts.values()) - min(counts.values()) <= 20, name
    below = sum(1 for point in points if float(point["exponent"]) <= 31) / 1024
    assert below == pytest.approx(math.log(31.5 / 0.5) / math.log(1000.5 / 0.5), abs=0.02)


@SAMPLED
def test_a_logarithmic_range_is_even_in_the_logarithm(create: Factory) -> None:
    space = SearchSpace({"rate": FloatParameter(1e-4, 1e4, log=True)})
    logs = np.log10([float(point["rate"]) for point in asked(create(space, settings(512)))])
    assert np.histogram(logs, bins=8, range=(-4, 4))[0].tolist() == pytest.approx([64] * 8, abs=3)


@SAMPLED
def test_a_space_without_anything_to_vary(create: Factory) -> None:
    space = SearchSpace({"a": FixedParameter(2)})
    assert asked(create(space, settings(3))) == [{"a": 2}] * 3


@SAMPLED
def test_bounds_near_the_largest_numbers(create: Factory) -> None:
    space = SearchSpace(
        {"x": FloatParameter(-1.7e308, 1.7e308), "n": IntParameter(-(2**80), 2**80)}
    )
    points = asked(create(space, settings(64)))
    assert all(math.isfinite(float(point["x"])) for point in points)
    assert sum(1 for point in points if float(point["n"]) < 0) == pytest.approx(32, abs=4)


@SAMPLED
def test_with_constraints_there_are_as_many_trials_and_all_fulfil_them(create: Factory) -> None:
    space = SearchSpace(UNIT.parameters, (Constraint("x + y <= 0.5"),))
    points = asked(create(space, settings(100)))
    assert len(points) == 100
    assert all(float(point["x"]) + float(point["y"]) <= 0.5 for point in points)


@pytest.mark.parametrize("create", [sobol.create, halton.create])
def test_with_constraints_the_sequence_only_lacks_what_they_refuse(create: Factory) -> None:
    constraint = Constraint("x > y")
    without = asked(create(UNIT, settings(200)))
    within = asked(create(SearchSpace(UNIT.parameters, (constraint,)), settings(80)))
    assert within == [point for point in without if constraint.holds(point)][:80]


@SAMPLED
def test_constraints_that_nothing_fulfils(create: Factory, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("designs", "lhs"):
        monkeypatch.setattr(f"modelops.algorithms.{module}.MAX_REFUSED", 100)
    space = SearchSpace(UNIT.parameters, (Constraint("x + y < 0"),))
    with pytest.raises(AlgorithmError, match=r"allow none: x \+ y < 0"):
        create(space, settings(3)).ask(1)


@pytest.mark.parametrize("module", [sobol, halton, lhs])
def test_without_scipy_it_says_how_to_install_it(
    module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(AlgorithmError, match=r'(?s)needs scipy.*pip install "modelops\[qmc\]"'):
        module.create(SPACE, settings(3))


def test_a_grid_has_every_combination_once_the_last_parameter_changing_fastest() -> None:
    space = SearchSpace(
        {
            "x": FloatParameter(0.0, 1.0),
            "rate": FloatParameter(1.0, 100.0, log=True),
            "n": IntParameter(1, 9),
            "few": IntParameter(3, 4),
            "kind": CategoricalParameter(("a", "b")),
            "fixed": FixedParameter(7),
        }
    )
    points = asked(grid.create(space, settings(500, points={"x": 2, "rate": 3, "n": 3})))
    assert len(points) == 2 * 3 * 3 * 2 * 2
    assert len({tuple(point.items()) for point in points}) == len(points)
    assert {point["x"] for point in points} == {0.0, 1.0}
    assert sorted({float(point["rate"]) for point in points}) == pytest.approx([1, 10, 100])
    assert {point["n"] for point in points} == {1, 5, 9}
    assert {point["few"] for point in points} == {3, 4}
    assert [point["kind"] for point in points[:4]] == ["a", "b", "a", "b"]
    assert points[0] == {"x": 0.0, "rate": 1.0, "n": 1, "few": 3, "kind": "a", "fixed": 7}


@pytest.mark.parametrize(
    ("parameter", "points", "values"),
    [
        (FloatParameter(0.1, 0.7), 3, [0.1, 0.4, 0.7]),
        (FloatParameter(0.1, 0.7), 1, [0.4]),
        (FloatParameter(2.0, 2.0), 5, [2.0]),
        (IntParameter(0, 100), 5, [0, 25, 50, 75, 100]),
        (IntParameter(1, 3), 10, [1, 2, 3]),
        (IntParameter(1, 100, log=True), 3, [1, 10, 100]),
        (IntParameter(1, 8, log=True), 7, [1, 2, 3, 4, 6, 8]),
    ],
)
def test_values_of_a_range(parameter: Any, points: int, values: list[float]) -> None:
    found = asked(grid.create(SearchSpace({"a": parameter}), settings(50, points=points)))
    assert [point["a"] for point in found] == pytest.approx(values)
    ends = {parameter.low, parameter.high}
    assert points == 1 or ends <= {point["a"] for point in found}


def test_ranges_have_ten_values_if_nothing_is_said() -> None:
    assert len(asked(grid.create(UNIT, settings(100)))) == 100
    assert len(asked(grid.create(UNIT, settings(100, points={"x": 3})))) == 30


def test_a_grid_of_more_combinations_than_trials_names_both() -> None:
    with pytest.raises(AlgorithmError, match=r"(?s)100 combinations.*n_trials is 99.*x: 10, y: 10"):
        grid.create(UNIT, settings(99))


def test_a_grid_leaves_out_what_the_constraints_refuse() -> None:
    space = SearchSpace(UNIT.parameters, (Constraint("x < y"),))
    points = asked(grid.create(space, settings(45)))
    assert len(points) == 45
    assert all(float(point["x"]) < float(point["y"]) for point in points)
    with pytest.raises(AlgorithmError, match=r"45 combinations.*n_trials is 44"):
        grid.create(space, settings(44))


def test_a_grid_of_which_the_constraints_refuse_all() -> None:
    space = SearchSpace(UNIT.parameters, (Constraint("x + y > 3"),))
    with pytest.raises(AlgorithmError, match="allow no combination"):
        grid.create(space, settings(100))


def test_a_grid_that_is_too_large_to_check() -> None:
    space = SearchSpace(UNIT.parameters, (Constraint("x < y"),))
    with pytest.raises(AlgorithmError, match="4,000,000 combinations before the constraints"):
        grid.create(space, settings(10**7, points=2000))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"points": 0}, "a whole number from 1"),
        ({"points": True}, "a whole number from 1"),
        ({"points": {"x": 1.5}}, "a whole number from 1"),
        ({"points": {}}, "a whole number from 1"),
        ({"points": 10**9}, "to 1,000,000"),
        ({"points": {"xx": 3}}, "Did you mean `x`"),
        ({"point": 3}, "Did you mean `points`"),
    ],
)
def test_wrong_options_of_a_grid(options: dict[str, Any], message: str) -> None:
    with pytest.raises(AlgorithmError) as caught:
        grid.create(UNIT, settings(100, **options))
    assert message in str(caught.value)
    assert isinstance(caught.value, ValueError)
