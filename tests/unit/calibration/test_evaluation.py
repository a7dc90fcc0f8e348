import itertools
import math

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelops.calibration import (
    RMSE,
    AbsoluteError,
    AlignmentStrategy,
    EvaluationStrategy,
    ExactAlignment,
    MetricAlignment,
    SquaredError,
    Target,
    evaluate_targets,
    model,
    target,
)
from modelops.core.errors import CalibrationError

DATA = {"day": [1, 2], "cases": [1.0, 5.0]}
numbers = st.floats(-1e6, 1e6)


def replicate(*cases: float, name: str = "output") -> dict[str, pa.Table]:
    return {name: pa.table({"day": list(range(1, len(cases) + 1)), "cases": list(cases)})}


def make(**changes: object) -> Target:
    return Target(**{"data": DATA, "on": "day", "value": "cases", **changes})


# Replicates (1, 2) and (3, 6): mean (2, 4); observed (1, 5).
@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (SquaredError(), 1.0 + 1.0),
        (SquaredError(on="replicate"), ((0 + 9) + (4 + 1)) / 2),
        (AbsoluteError(), 1.0 + 1.0),
        (AbsoluteError(on="replicate"), ((0 + 3) + (2 + 1)) / 2),
        (RMSE(), 1.0),
        (RMSE(on="replicate"), (math.sqrt(9 / 2) + math.sqrt(5 / 2)) / 2),
    ],
)
def test_losses_by_hand(loss: EvaluationStrategy, expected: float) -> None:
    replicates = [replicate(1.0, 2.0), replicate(3.0, 6.0)]
    evaluation = evaluate_targets({"cases": make(loss=loss)}, replicates)
    assert evaluation.loss == pytest.approx(expected, rel=1e-15)
    assert evaluation.parts == {"cases": evaluation.loss}


def test_weights_are_used_and_parts_are_not_weighted() -> None:
    targets = {
        "cases": make(weight=2.0),
        "R0": Target({"R0": 2.0}, table="metrics", alignment=MetricAlignment("R0"), weight=0.5),
        "unused": make(weight=0.0, loss=AbsoluteError()),
    }
    tables = {**replicate(2.0, 2.0), "metrics": pa.table({"R0": [5.0]})}
    evaluation = evaluate_targets(targets, [tables])
    assert evaluation.parts == {"cases": 10.0, "R0": 9.0, "unused": 4.0}
    assert evaluation.loss == 2.0 * 10.0 + 0.5 * 9.0


@given(
    st.lists(st.lists(numbers, min_size=2, max_size=2), min_size=1, max_size=5),
    st.permutations(range(5)),
    st.sampled_from([SquaredError, AbsoluteError, RMSE]),
    st.sampled_from(["mean", "replicate"]),
)
def test_the_order_of_replicates_changes_no_bit(
    cases: list[list[float]], order: list[int], kind: type, on: str
) -> None:
    targets = {"a": make(loss=kind(on=on)), "b": make(loss=kind(on=on), weight=0.1)}
    replicates = [replicate(*values) for values in cases]
    shuffled = [replicates[index] for index in order if index < len(replicates)]
    loss = evaluate_targets(targets, replicates).loss
    assert evaluate_targets(targets, shuffled).loss == loss
    assert evaluate_targets(dict(reversed(targets.items())), replicates).loss == loss


@given(st.lists(numbers, min_size=1, max_size=8), st.lists(numbers, min_size=8, max_size=8))
def test_losses_are_those_of_numpy(observed: list[float], simulated: list[float]) -> None:
    data = {"day": range(1, len(observed) + 1), "cases": observed}
    difference = np.array(observed) - np.array(simulated[: len(observed)])

    def loss(kind: EvaluationStrategy) -> float:
        return evaluate_targets({"a": make(data=data, loss=kind)}, [replicate(*simulated)]).loss

    assert loss(SquaredError()) == pytest.approx(float(np.sum(difference**2)), rel=1e-12)
    assert loss(AbsoluteError()) == pytest.approx(float(np.sum(np.abs(difference))), rel=1e-12)
    assert loss(RMSE()) == pytest.approx(float(np.sqrt(np.mean(difference**2))), rel=1e-12)


def test_a_perfect_simulation_costs_nothing() -> None:
    for kind, on in itertools.product((SquaredError, AbsoluteError, RMSE), ("mean", "replicate")):
        targets = {"a": make(loss=kind(on=on))}
        assert evaluate_targets(targets, [replicate(1.0, 5.0)] * 3).loss == 0.0


def test_what_is_wrong_is_named_with_target_and_table() -> None:
    for tables, message in (
        (replicate(1.0, math.nan), "Target 'a', table 'output'.*'cases' is nan at day=2"),
        (replicate(1.0), "Target 'a', table 'output'.*lacks 1 of 2.*day=2"),
        (replicate(1.0, 2.0, name="other"), "Target 'a'.*no such table; its tables are: other"),
        ({"output": pa.table({"day": [1, 2]})}, "no column 'cases'; its columns are: day"),
        ({}, "its tables are: none"),
    ):
        with pytest.raises(CalibrationError, match=message):
            evaluate_targets({"a": make()}, [replicate(1.0, 2.0), tables])


def test_nothing_to_evaluate() -> None:
    with pytest.raises(CalibrationError, match="no target"):
        evaluate_targets({}, [replicate(1.0, 2.0)])
    with pytest.raises(CalibrationError, match="no replicate"):
        evaluate_targets({"a": make()}, [])


@pytest.mark.parametrize("on", ["mean", "replicate"])
@pytest.mark.parametrize("loss", [SquaredError, AbsoluteError, RMSE])
def test_a_loss_that_overflows_is_an_error(loss: type, on: str) -> None:
    huge = [replicate(-1.7e308, 1.7e308)] * 2
    data = {"day": [1, 2], "cases": [1.7e308, -1.7e308]}
    with pytest.raises(CalibrationError, match="Target 'a': the loss is inf"):
        evaluate_targets({"a": make(data=data, loss=loss(on=on))}, huge)


def test_weighted_losses_that_overflow_are_an_error() -> None:
    targets = {name: make(weight=1e308) for name in "ab"}
    with pytest.raises(CalibrationError, match="add up to inf"):
        evaluate_targets(targets, [replicate(2.0, 6.0)])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"on": "week"}, "no column 'week'; its columns are: day, cases"),
        ({"value": "deaths"}, "no column 'deaths'"),
        ({"weight": -1.0}, "weight"),
        ({"weight": math.nan}, "weight"),
        ({"weight": math.inf}, "weight"),
        ({"data": {"day": [], "cases": pa.array([], pa.float64())}}, "no rows"),
        ({"data": "cases.csv"}, "can't be read as a table"),
    ],
)
def test_a_wrong_target_is_refused_when_it_is_made(
    changes: dict[str, object], message: str
) -> None:
    with pytest.raises(CalibrationError, match=message):
        make(**changes)


@pytest.mark.parametrize("frame", [dict, pd.DataFrame, pl.DataFrame, pa.table])
def test_a_target_takes_frames_of_every_library(frame: type) -> None:
    assert make(data=frame(DATA)).data.to_pydict() == DATA


def test_a_targets_data_cannot_be_changed_from_outside() -> None:
    frame = pd.DataFrame(DATA)
    columns = {"day": np.array([1, 2]), "cases": np.array([1.0, 5.0])}
    targets = [make(data=frame), make(data=columns)]
    frame.loc[0, "cases"] = columns["cases"][0] = 99.0
    assert [made.data.to_pydict() for made in targets] == [DATA, DATA]


def test_a_loss_is_taken_on_something_known() -> None:
    with pytest.raises(CalibrationError, match="'median'"):
        SquaredError(on="median")  # type: ignore[arg-type]


def test_what_we_ship_keeps_the_seams() -> None:
    assert isinstance(ExactAlignment(), AlignmentStrategy)
    assert isinstance(MetricAlignment("R0"), AlignmentStrategy)
    assert isinstance(RMSE(), EvaluationStrategy)


def test_marks_leave_functions_as_they_are() -> None:
    @model
    def simulate(params: dict[str, float], seed: int) -> dict[str, float]:
        return {"x": params["a"] + seed}

    @model("seir")
    def another() -> int:
        return 1

    @target
    def prevalence() -> Target:
        return make()

    @target(id="deaths")
    def mortality() -> Target:
        return make()

    assert simulate({"a": 1.0}, 2) == {"x": 3.0}
    assert another() == 1
    assert prevalence().value == mortality().value == "cases"
    assert simulate.__modelops_model__ == "simulate"  # type: ignore[attr-defined]
    assert another.__modelops_model__ == "seir"  # type: ignore[attr-defined]
    assert prevalence.__modelops_target__ == "prevalence"  # type: ignore[attr-defined]
    assert mortality.__modelops_target__ == "deaths"  # type: ignore[attr-defined]
