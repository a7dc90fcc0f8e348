from modelops.contracts import (
    CategoricalParameter,
    Constraint,
    FixedParameter,
    FloatParameter,
    IntParameter,
    SearchSpace,
)
from modelops.worker.sample_points import LEVELS, sample_points


def test_every_parameter_is_low_middle_and_high_once() -> None:
    space = SearchSpace(
        {
            "beta": FloatParameter(0, 4),
            "scale": FloatParameter(0.01, 100, log=True),
            "n": IntParameter(1, 9),
            "kind": CategoricalParameter(("a", "b", "c", "d")),
            "fixed": FixedParameter("x"),
        }
    )

    points = sample_points(space)

    assert len(points) == LEVELS
    assert [point["beta"] for point in points] == [0.0, 2.0, 4.0]
    assert all(isinstance(point["beta"], float) for point in points)
    assert sorted(round(float(point["scale"]), 12) for point in points) == [0.01, 1.0, 100.0]
    assert sorted(int(point["n"]) for point in points) == [1, 5, 9]
    assert {point["kind"] for point in points} == {"a", "b", "d"}
    assert {point["fixed"] for point in points} == {"x"}
    assert points[0]["beta"] == 0.0
    assert points[0]["n"] == 9
    assert sample_points(space) == points


def test_points_that_are_alike_are_one() -> None:
    assert sample_points(SearchSpace({"a": FixedParameter(1)})) == [{"a": 1}]
    assert sample_points(SearchSpace({"a": IntParameter(1, 2)})) == [{"a": 1}, {"a": 2}]


def test_the_middle_of_the_widest_range_is_finite_and_inside() -> None:
    low, middle, high = (
        float(point["a"])
        for point in sample_points(SearchSpace({"a": FloatParameter(-1e308, 1e308)}))
    )

    assert low < middle == 0.0 < high


def test_points_that_the_constraints_refuse_are_left_out() -> None:
    parameters = {"a": FloatParameter(0.0, 1.0), "b": FloatParameter(0.0, 1.0)}
    every = sample_points(SearchSpace(parameters))
    allowed = sample_points(SearchSpace(parameters, (Constraint("a < b"),)))
    assert allowed == [point for point in every if point["a"] < point["b"]]
    assert 0 < len(allowed) < len(every)

    narrow = SearchSpace(parameters, (Constraint("0.6 < a < b < 0.9"),))
    (point,) = sample_points(narrow)
    assert narrow.allows(point)
