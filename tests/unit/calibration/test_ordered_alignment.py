import datetime
import math
import random
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from modelops.calibration import AsOfAlignment, InterpolationAlignment, Target, evaluate_targets
from modelops.core.errors import CalibrationError

SIMULATED = {"day": [4, 0, 2], "cases": [40.0, 0.0, 20.0]}


def frame(*days: float, **columns: list[object]) -> dict[str, list[Any]]:
    return {"day": list(days), "cases": [0.0] * len(days), **columns}


def simulated_at(alignment: Any, *days: float) -> list[float]:
    return alignment.align(frame(*days), SIMULATED, on="day", value="cases").simulated[0].tolist()


@pytest.mark.parametrize(
    ("direction", "expected"),
    [
        ("backward", [0.0, 0.0, 20.0, 20.0, 40.0]),
        ("forward", [0.0, 20.0, 20.0, 40.0, 40.0]),
        # Day 1 is as near to 0 as to 2: the earlier one.
        ("nearest", [0.0, 0.0, 20.0, 40.0, 40.0]),
    ],
)
def test_the_row_next_to_a_point_is_taken(direction: Any, expected: list[float]) -> None:
    assert simulated_at(AsOfAlignment(direction), 0, 1, 2, 3.5, 4) == expected


def test_the_default_is_that_of_pandas() -> None:
    assert AsOfAlignment().direction == "backward"


def test_a_tolerance_includes_its_end() -> None:
    assert simulated_at(AsOfAlignment("nearest", tolerance=1), 1, 5) == [0.0, 40.0]
    with pytest.raises(
        CalibrationError,
        match=r"replicate 0 lacks 1 of 2 .*day=5.25, which has no row near it within the tolerance"
        r".*3 rows go from day=4 to day=2",
    ):
        simulated_at(AsOfAlignment("nearest", tolerance=1), 1, 5.25)


@pytest.mark.parametrize(
    ("alignment", "day", "place"),
    [
        (AsOfAlignment("backward"), -1, "at or before it"),
        (AsOfAlignment("forward"), 5, "at or after it"),
        (InterpolationAlignment(), -1, "on both sides of it"),
        (InterpolationAlignment(), 5, "on both sides of it"),
    ],
)
def test_a_point_without_a_row_is_an_error(alignment: Any, day: int, place: str) -> None:
    with pytest.raises(
        CalibrationError, match=f"lacks 1 of 2.*day={day}, which has no row {place}"
    ):
        simulated_at(alignment, 2, day)


def test_points_between_rows_are_interpolated() -> None:
    assert simulated_at(InterpolationAlignment(), 0, 0.5, 3, 4) == [0.0, 5.0, 30.0, 40.0]


def test_the_edges_are_held_on_request_only() -> None:
    assert simulated_at(InterpolationAlignment(edge="hold"), -3, 1, 9) == [0.0, 10.0, 40.0]
    with pytest.raises(CalibrationError, match='edge="hold"'):
        simulated_at(InterpolationAlignment(), -3)


def test_a_lone_row_is_enough_for_a_point_at_it() -> None:
    align = InterpolationAlignment().align
    assert align(frame(2), frame(2), on="day", value="cases").simulated.tolist() == [[0.0]]


def test_other_keys_make_groups() -> None:
    observed = frame(1, 1, region=["north", "south"])
    simulated = {
        "region": ["south", "south", "north", "north", "east"],
        "day": [0, 2, 0, 2, 1],
        "cases": [0.0, 10.0, 100.0, 300.0, -1.0],
    }
    for alignment, expected in (
        (AsOfAlignment(along="day"), [100.0, 0.0]),
        (AsOfAlignment("forward", along="day"), [300.0, 10.0]),
        (InterpolationAlignment(along="day"), [200.0, 5.0]),
    ):
        aligned = alignment.align(observed, simulated, on=("region", "day"), value="cases")
        assert aligned.simulated.tolist() == [expected]
    with pytest.raises(CalibrationError, match=r"1 of 1 .*region='west', day=1, which"):
        AsOfAlignment(along="day").align(
            frame(1, region=["west"]), simulated, on=("region", "day"), value="cases"
        )


def test_along_which_column_must_be_clear() -> None:
    observed = frame(1, region=["north"])
    with pytest.raises(CalibrationError, match=r"(?s)Along which.*region, day.*along='day'"):
        AsOfAlignment().align(observed, observed, on=("region", "day"), value="cases")
    with pytest.raises(CalibrationError, match=r"along 'week', which isn't among.*: day"):
        InterpolationAlignment(along="week").align(observed, observed, on="day", value="cases")


DATE = datetime.date(2026, 3, 1)
DAY = datetime.timedelta(days=1)


@pytest.mark.parametrize("library", [dict, pd.DataFrame, pl.DataFrame, pa.table])
@pytest.mark.parametrize("zone", [None, datetime.UTC])
def test_dates_and_timestamps_are_compared(library: Any, zone: datetime.tzinfo | None) -> None:
    def at(hours: float) -> datetime.datetime:
        midnight = datetime.datetime.combine(DATE, datetime.time(), zone)
        return midnight + datetime.timedelta(hours=hours)

    observed = library({"day": [at(6), at(30)], "cases": [0.0, 0.0]})
    simulated = library({"day": [at(0), at(24), at(48)], "cases": [0.0, 24.0, 48.0]})
    for alignment, expected in (
        (AsOfAlignment(tolerance=datetime.timedelta(hours=6)), [0.0, 24.0]),
        (AsOfAlignment("forward", tolerance=np.timedelta64(18, "h")), [24.0, 48.0]),
        (AsOfAlignment("nearest", tolerance=pd.Timedelta("6h")), [0.0, 24.0]),
        (InterpolationAlignment(), [6.0, 30.0]),
    ):
        aligned = alignment.align(observed, simulated, on="day", value="cases")
        assert aligned.simulated.tolist() == [expected]
    short = AsOfAlignment("nearest", tolerance=datetime.timedelta(hours=5))
    with pytest.raises(CalibrationError, match="within the tolerance"):
        short.align(observed, simulated, on="day", value="cases")


def test_dates_lie_between_timestamps() -> None:
    observed = {"day": [DATE + DAY], "cases": [0.0]}
    noon = datetime.datetime.combine(DATE, datetime.time(12))
    simulated = pd.DataFrame({"day": [noon, noon + DAY], "cases": [0.0, 8.0]})
    aligned = InterpolationAlignment().align(observed, simulated, on="day", value="cases")
    assert aligned.simulated.tolist() == [[4.0]]


def test_durations_are_compared() -> None:
    observed = {"day": [DAY], "cases": [0.0]}
    simulated = pl.DataFrame({"day": [DAY * 0, DAY * 4], "cases": [0.0, 8.0]})
    aligned = InterpolationAlignment().align(observed, simulated, on="day", value="cases")
    assert aligned.simulated.tolist() == [[2.0]]


NOON = datetime.datetime(2026, 3, 1, 12)  # noqa: DTZ001 — one without a zone is meant


@pytest.mark.parametrize(
    ("observed", "simulated", "message"),
    [
        ([NOON], [1], "'day' holds times in the observed data and numbers in replicate 0"),
        ([NOON], [NOON.replace(tzinfo=datetime.UTC)], "times in .* and times with a zone in"),
        ([DAY], [DATE], "durations in .* and times in"),
        (["1"], [1], "the observed data: column 'day' holds .*string, which has no distances"),
        ([1], [True], "replicate 0: column 'day' holds bool"),
        ([1], [None, 1], "replicate 0: column 'day' is missing in row 0"),
        ([1.0], [1.0, math.nan], "replicate 0: column 'day' is nan in row 1"),
        ([math.inf], [1.0], "the observed data: column 'day' is inf in row 0"),
        (
            [DATE],
            [datetime.date(9999, 1, 1)],
            r"(?s)can't be written in nanoseconds.*1678 and 2262",
        ),
    ],
)
def test_what_has_no_distance_is_an_error(
    observed: list[object], simulated: list[object], message: str
) -> None:
    for alignment in (AsOfAlignment(), InterpolationAlignment()):
        with pytest.raises(CalibrationError, match=message):
            alignment.align(
                {"day": observed, "cases": [0.0] * len(observed)},
                {"day": simulated, "cases": [0.0] * len(simulated)},
                on="day",
                value="cases",
            )


@pytest.mark.parametrize(
    ("tolerance", "message"),
    [(DAY, "aligned along numbers"), (-1, "from 0"), (math.nan, "from 0"), ("1d", "number or a")],
)
def test_a_tolerance_fits_the_column(tolerance: object, message: str) -> None:
    with pytest.raises(CalibrationError, match=message):
        simulated_at(AsOfAlignment(tolerance=tolerance), 1)


def test_a_tolerance_of_times_is_no_number() -> None:
    observed = {"day": [DATE], "cases": [0.0]}
    with pytest.raises(CalibrationError, match=r"(?s)aligned along times.*timedelta"):
        AsOfAlignment(tolerance=1).align(observed, observed, on="day", value="cases")


def test_unknown_words_are_refused() -> None:
    with pytest.raises(CalibrationError, match="'before' is no direction"):
        AsOfAlignment("before")  # type: ignore[arg-type]
    with pytest.raises(CalibrationError, match="edge is 'linear'"):
        InterpolationAlignment(edge="linear")  # type: ignore[arg-type]


def test_duplicates_are_refused() -> None:
    doubled = frame(2, 0, 2)
    for alignment in (AsOfAlignment("nearest"), InterpolationAlignment()):
        with pytest.raises(CalibrationError, match="replicate 0 has 2 rows for day=2"):
            alignment.align(frame(1), doubled, on="day", value="cases")
        with pytest.raises(CalibrationError, match="the observed data has 2 rows for day=2"):
            alignment.align(doubled, frame(2), on="day", value="cases")


def test_only_numbers_that_are_used_must_be_finite() -> None:
    simulated = {"day": [0, 1, 2], "cases": [0.0, 1.0, math.nan]}
    assert InterpolationAlignment().align(
        frame(0.5, 1), simulated, on="day", value="cases"
    ).simulated.tolist() == [[0.5, 1.0]]
    with pytest.raises(CalibrationError, match=r"replicate 0: column 'cases' is nan at day=1.5"):
        InterpolationAlignment().align(frame(1.5), simulated, on="day", value="cases")


def test_whole_numbers_beyond_those_of_floats_are_kept_apart() -> None:
    start = 2**53
    simulated = {"day": [start, start + 1], "cases": [1.0, 2.0]}
    aligned = AsOfAlignment().align(frame(start, start + 1), simulated, on="day", value="cases")
    assert aligned.simulated.tolist() == [[1.0, 2.0]]
    unsigned = {"day": np.array([0, 2**63], dtype=np.uint64), "cases": [1.0, 2.0]}
    aligned = AsOfAlignment().align(frame(5), unsigned, on="day", value="cases")
    assert aligned.simulated.tolist() == [[1.0]]


def test_each_replicate_has_times_of_its_own() -> None:
    replicates = [SIMULATED, {"day": [1], "cases": [5.0]}, SIMULATED]
    aligned = AsOfAlignment().align(frame(1, 2), replicates, on="day", value="cases")
    assert aligned.simulated.tolist() == [[0.0, 20.0], [5.0, 5.0], [0.0, 20.0]]


def test_a_target_may_be_aligned_so() -> None:
    goal = Target(
        {"day": [1.0], "cases": [4.0]},
        on="day",
        value="cases",
        alignment=InterpolationAlignment(),
    )
    assert evaluate_targets({"a": goal}, [{"output": pa.table(SIMULATED)}]).loss == 36.0


days = st.lists(st.integers(-40, 40), min_size=1, max_size=15, unique=True)
groups = st.sampled_from("ab")


@given(days, days, st.sampled_from(["backward", "forward", "nearest"]), st.data())
def test_as_of_is_that_of_pandas(
    observed: list[int], simulated: list[int], direction: Any, data: st.DataObject
) -> None:
    tolerance = data.draw(st.none() | st.integers(0, 20))
    left = pd.DataFrame({"day": observed, "by": [data.draw(groups) for _ in observed], "x": 0.0})
    right = pd.DataFrame({"day": simulated, "by": [data.draw(groups) for _ in simulated]})
    right["x"] = np.arange(len(right), dtype=float)
    expected = pd.merge_asof(
        left.assign(row=range(len(left))).sort_values("day").drop(columns="x"),
        right.sort_values("day"),
        on="day",
        by="by",
        direction=direction,
        tolerance=tolerance,
    ).sort_values("row")["x"]
    alignment = AsOfAlignment(direction, tolerance=tolerance, along="day")
    if expected.isna().any():
        missing = int(expected.isna().sum())
        with pytest.raises(CalibrationError, match=f"lacks {missing} of {len(observed)}"):
            alignment.align(left, right, on=("by", "day"), value="x")
        return
    aligned = alignment.align(left, right, on=("by", "day"), value="x")
    assert aligned.simulated[0].tolist() == expected.tolist()


@given(
    st.lists(st.floats(-50, 50), min_size=1, max_size=10, unique=True),
    days,
    st.sampled_from(["error", "hold"]),
    st.randoms(use_true_random=False),
)
def test_interpolation_is_that_of_numpy(
    observed: list[float], simulated: list[int], edge: Any, chance: random.Random
) -> None:
    values = {day: chance.uniform(-1e3, 1e3) for day in simulated}
    if edge == "error":
        observed = [day for day in observed if min(simulated) <= day <= max(simulated)]
        assume(observed)
    aligned = InterpolationAlignment(edge=edge).align(
        frame(*observed),
        {"day": simulated, "cases": list(values.values())},
        on="day",
        value="cases",
    )
    expected = np.interp(observed, sorted(values), [values[day] for day in sorted(values)])
    assert aligned.simulated[0] == pytest.approx(expected, rel=1e-12, abs=1e-12)
