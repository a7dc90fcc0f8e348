import datetime
import math
import random

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelops.calibration import ExactAlignment, MetricAlignment
from modelops.core.errors import CalibrationError

OBSERVED = {"day": [1, 2, 3], "cases": [10.0, 20.0, 30.0]}
SIMULATED = {"day": [3, 1, 2, 4], "cases": [3, 1, 2, 4], "other": ["x"] * 4}


@pytest.mark.parametrize("observed", [dict, pd.DataFrame, pl.DataFrame, pa.table])
@pytest.mark.parametrize("simulated", [dict, pd.DataFrame, pl.DataFrame, pa.table])
def test_frames_of_every_library_are_taken(observed: type, simulated: type) -> None:
    aligned = ExactAlignment().align(
        observed(OBSERVED), simulated(SIMULATED), on="day", value="cases"
    )
    assert aligned.observed.tolist() == [10.0, 20.0, 30.0]
    assert aligned.simulated.tolist() == [[1.0, 2.0, 3.0]]


keys = st.lists(
    st.tuples(st.integers(-5, 5), st.sampled_from("abc")), min_size=1, max_size=20, unique=True
)
numbers = st.floats(-1e9, 1e9)


@given(keys, st.data())
def test_observed_points_are_neither_lost_nor_invented(
    points: list[tuple[int, str]], data: st.DataObject
) -> None:
    values = {key: data.draw(numbers) for key in points}
    n_observed = data.draw(st.integers(1, len(points)))
    rows = list(points)
    random.Random(data.draw(st.integers())).shuffle(rows)

    def frame(keys: list[tuple[int, str]]) -> dict[str, list[object]]:
        return {
            "age": [age for age, _ in keys],
            "region": [region for _, region in keys],
            "x": [values[key] for key in keys],
        }

    aligned = ExactAlignment().align(
        frame(points[:n_observed]), [frame(rows), frame(points)], on=("age", "region"), value="x"
    )
    expected = [values[key] for key in points[:n_observed]]
    assert aligned.observed.tolist() == expected
    assert aligned.simulated.tolist() == [expected, expected]


def test_a_missing_point_is_named() -> None:
    simulated = {"day": [1, 3], "cases": [1.0, 3.0]}
    with pytest.raises(
        CalibrationError, match=r"replicate 1 lacks 1 of 3 .* day=2.*day=1 to day=3"
    ):
        ExactAlignment().align(OBSERVED, [SIMULATED, simulated], on="day", value="cases")


def test_keys_of_another_type_are_missing_and_both_are_shown() -> None:
    simulated = {"day": ["1", "2", "3"], "cases": [1.0, 2.0, 3.0]}
    with pytest.raises(CalibrationError, match=r"the first is day=1; .*day='1'"):
        ExactAlignment().align(OBSERVED, simulated, on="day", value="cases")


def test_whole_floats_and_dates_of_other_libraries_are_the_same_keys() -> None:
    days = [datetime.datetime(2026, 1, day, tzinfo=datetime.UTC) for day in (1, 2)]
    observed = pd.DataFrame({"day": pd.to_datetime(days), "n": [1, 2], "x": [1, 2]})
    simulated = pl.DataFrame({"day": days[::-1], "n": [2.0, 1.0], "x": [20, 10]})
    aligned = ExactAlignment().align(observed, simulated, on=("day", "n"), value="x")
    assert aligned.simulated.tolist() == [[10.0, 20.0]]


@pytest.mark.parametrize("side", ["observed", "simulated"])
def test_duplicates_are_refused(side: str) -> None:
    doubled = {"day": [1, 2, 2, 3], "cases": [1.0, 2.0, 2.5, 3.0]}
    frames = {"observed": OBSERVED, "simulated": SIMULATED, side: doubled}
    with pytest.raises(CalibrationError, match="2 rows for day=2"):
        ExactAlignment().align(frames["observed"], frames["simulated"], on="day", value="cases")


@pytest.mark.parametrize("number", [math.nan, math.inf, None])
def test_numbers_that_are_none_are_named_with_their_row(number: float | None) -> None:
    simulated = {"day": [1, 2, 3], "cases": [1.0, number, 3.0]}
    with pytest.raises(
        CalibrationError, match=r"replicate 0: column 'cases' is (nan|inf) at day=2"
    ):
        ExactAlignment().align(OBSERVED, simulated, on="day", value="cases")
    with pytest.raises(CalibrationError, match="the observed data: column 'cases'"):
        ExactAlignment().align(simulated, OBSERVED, on="day", value="cases")


def test_nan_where_nobody_looked_is_no_concern() -> None:
    simulated = {"day": [1, 2, 3, 4], "cases": [1.0, 2.0, 3.0, math.nan]}
    aligned = ExactAlignment().align(OBSERVED, simulated, on="day", value="cases")
    assert np.isfinite(aligned.simulated).all()


def test_columns_that_are_missing_name_those_there_are() -> None:
    with pytest.raises(CalibrationError, match=r"no column 'deaths'.*day, cases"):
        ExactAlignment().align(OBSERVED, SIMULATED, on="day", value="deaths")
    with pytest.raises(CalibrationError, match=r"replicate 0 has no column 'day'.*: cases"):
        ExactAlignment().align(OBSERVED, {"cases": [1]}, on="day", value="cases")


def test_text_is_no_number() -> None:
    with pytest.raises(CalibrationError, match="'cases' holds string"):
        ExactAlignment().align(
            OBSERVED, {"day": [1, 2, 3], "cases": ["1", "2", "3"]}, on="day", value="cases"
        )


def test_integers_booleans_and_decimals_are_numbers() -> None:
    table = pa.table(
        {
            "day": [1, 2, 3],
            "cases": pa.array([True, False, True]),
            "cost": pa.array([1, 2, 3]).cast(pa.decimal128(30, 2)),
        }
    )
    observed = {**OBSERVED, "cost": [0, 0, 0]}
    align = ExactAlignment().align
    assert align(observed, table, on="day", value="cases").simulated.tolist() == [[1.0, 0.0, 1.0]]
    assert align(observed, table, on="day", value="cost").simulated.tolist() == [[1.0, 2.0, 3.0]]


def test_exact_alignment_needs_keys_and_a_value() -> None:
    with pytest.raises(CalibrationError, match="needs the columns"):
        ExactAlignment().align(OBSERVED, SIMULATED, on=(), value="cases")
    with pytest.raises(CalibrationError, match="needs the columns"):
        ExactAlignment().align(OBSERVED, SIMULATED, on="day")


def test_there_must_be_a_replicate() -> None:
    with pytest.raises(CalibrationError, match="no replicate"):
        ExactAlignment().align(OBSERVED, [], on="day", value="cases")


def test_what_is_no_frame() -> None:
    with pytest.raises(CalibrationError, match=r"(?s)can't be read as a table.*polars"):
        ExactAlignment().align(OBSERVED, 7, on="day", value="cases")
    with pytest.raises(CalibrationError, match="can't be read as a table"):
        ExactAlignment().align({"a": [1], "b": [1, 2]}, SIMULATED, on="a", value="b")


def test_aligned_arrays_cannot_be_changed() -> None:
    aligned = ExactAlignment().align(OBSERVED, SIMULATED, on="day", value="cases")
    with pytest.raises(ValueError, match="read-only"):
        aligned.simulated[0, 0] = 9


@pytest.mark.parametrize("frame", [dict, pd.DataFrame, pl.DataFrame])
def test_a_metric_has_one_row_per_replicate(frame: type) -> None:
    observed = frame({"R0": [2.5]})
    alignment = MetricAlignment(metric="R0")
    together = alignment.align(observed, frame({"R0": [2.0, 3.0, 2.5], "x": [1, 2, 3]}))
    apart = alignment.align(observed, [frame({"R0": [value]}) for value in (2.0, 3.0, 2.5)])
    for aligned in (together, apart):
        assert aligned.observed.tolist() == [2.5]
        assert aligned.simulated.tolist() == [[2.0], [3.0], [2.5]]


def test_a_missing_metric_is_named() -> None:
    with pytest.raises(CalibrationError, match="no column 'R0'; its columns are: r0"):
        MetricAlignment("R0").align({"R0": 2.5}, [{"r0": 2.0}])
    with pytest.raises(CalibrationError, match="the observed data has no column 'R0'"):
        MetricAlignment("R0").align({"r0": 2.5}, [{"R0": 2.0}])


def test_a_metric_is_a_single_finite_number() -> None:
    alignment = MetricAlignment("R0")
    with pytest.raises(CalibrationError, match="replicate 1 has 2 rows"):
        alignment.align({"R0": 2.5}, [{"R0": [1.0]}, {"R0": [1.0, 2.0]}])
    with pytest.raises(CalibrationError, match="replicate 0 has 0 rows"):
        alignment.align({"R0": 2.5}, {"R0": []})
    with pytest.raises(CalibrationError, match="replicate 0: column 'R0' is nan"):
        alignment.align({"R0": 2.5}, [{"R0": [math.nan]}])
    with pytest.raises(CalibrationError, match="no keys"):
        alignment.align({"R0": 2.5}, [{"R0": 1.0}], on="day")
    with pytest.raises(CalibrationError, match="'R0', but the value is 'x'"):
        alignment.align({"R0": 2.5}, [{"R0": 1.0}], value="x")
