from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from modelops.calibration import AlignmentStrategy, MetricAlignment, Target, evaluate_targets
from modelops.core.errors import CalibrationError

LONG = {"metric": ["R0", "peak_day"], "value": [2.5, 41.0]}


def replicate(r0: float) -> dict[str, list[Any]]:
    return {"metric": ["peak_day", "R0"], "value": [0.0, r0]}


@pytest.mark.parametrize("library", [dict, pd.DataFrame, pl.DataFrame, pa.table])
def test_a_row_for_each_metric_gives_a_row_for_each_replicate(library: Any) -> None:
    aligned = MetricAlignment(metric="R0").align(
        library(LONG), [library(replicate(r0)) for r0 in (2.0, 3.0)]
    )
    assert aligned.observed.tolist() == [2.5]
    assert aligned.simulated.tolist() == [[2.0], [3.0]]


def test_a_lone_frame_is_one_replicate() -> None:
    aligned = MetricAlignment("R0").align(LONG, replicate(2.0))
    assert aligned.simulated.tolist() == [[2.0]]


@pytest.mark.parametrize("name", ["replicate", "draw"])
def test_a_column_tells_replicates_apart(name: str) -> None:
    simulated = {
        "metric": ["R0", "peak_day", "R0", "peak_day"],
        "value": [2.0, 40.0, 3.0, 42.0],
        name: [7, 7, 9, 9],
    }
    alignment = MetricAlignment("R0", replicate=name)
    assert alignment.align(LONG, simulated).simulated.tolist() == [[2.0], [3.0]]
    with pytest.raises(CalibrationError, match=r"replicate 9 has no metric 'R0'.*: peak_day"):
        alignment.align(LONG, {**simulated, "metric": ["R0", "a", "peak_day", "peak_day"]})


def test_a_column_with_the_metrics_name_is_taken_first() -> None:
    wide = {"R0": [2.0], "metric": ["R0"], "value": [99.0]}
    assert MetricAlignment("R0").align(wide, [wide]).simulated.tolist() == [[2.0]]


@pytest.mark.parametrize("name", ["value", "metric"])
def test_a_metric_may_have_a_columns_name(name: str) -> None:
    long = {"metric": ["R0", name], "value": [2.5, 41.0]}
    assert MetricAlignment(name).align(long, [long]).simulated.tolist() == [[41.0]]
    wide = {name: [3.0]}
    assert MetricAlignment(name).align(wide, [wide]).simulated.tolist() == [[3.0]]


def test_a_missing_metric_names_those_there_are() -> None:
    with pytest.raises(
        CalibrationError, match="replicate 1 has no metric 'R0'; its metrics are: r0, peak_day"
    ):
        MetricAlignment("R0").align(
            LONG, [replicate(2.0), {"metric": ["r0", "peak_day"], "value": [1.0, 2.0]}]
        )
    with pytest.raises(
        CalibrationError, match=r"the observed data has no metric 'x'.*R0, peak_day"
    ):
        MetricAlignment("x").align(LONG, [replicate(2.0)])
    many = {"metric": [f"m{i}" for i in range(12)], "value": [0.0] * 12}
    with pytest.raises(CalibrationError, match="m8, m9 and 2 more"):
        MetricAlignment("x").align(many, [many])
    empty = {"metric": [], "value": []}
    with pytest.raises(CalibrationError, match="has no metric 'R0'; its metrics are: none"):
        MetricAlignment("R0").align(LONG, [empty])


def test_a_metric_that_is_there_twice_says_how_often() -> None:
    doubled = {"metric": ["R0", "R0", "R0"], "value": [1.0, 2.0, 3.0]}
    with pytest.raises(
        CalibrationError, match=r"(?s)replicate 0 has the metric 'R0' 3 times.*tell"
    ):
        MetricAlignment("R0").align(LONG, [doubled])
    with pytest.raises(CalibrationError, match="the observed data has the metric 'R0' 3 times"):
        MetricAlignment("R0").align(doubled, [LONG])


def test_a_table_of_neither_form_says_what_is_needed() -> None:
    with pytest.raises(
        CalibrationError,
        match=r"(?s)no column 'R0'; its columns are: metric\..*'metric' and 'value'",
    ):
        MetricAlignment("R0").align(LONG, [{"metric": ["R0"]}])


def test_a_metric_is_a_finite_number() -> None:
    with pytest.raises(
        CalibrationError, match="replicate 0: column 'value' is nan at the metric 'R0'"
    ):
        MetricAlignment("R0").align(LONG, [replicate(float("nan"))])
    with pytest.raises(CalibrationError, match="column 'value' holds string"):
        MetricAlignment("R0").align(LONG, [{"metric": ["R0"], "value": ["2.5"]}])


def test_a_target_of_metrics() -> None:
    goal = Target(LONG, table="metrics", alignment=MetricAlignment("R0"))
    tables = [{"metrics": pa.table(replicate(r0))} for r0 in (2.0, 4.0)]
    assert evaluate_targets({"R0": goal}, tables).loss == 0.25


def test_it_keeps_the_seam() -> None:
    assert isinstance(MetricAlignment("R0"), AlignmentStrategy)
