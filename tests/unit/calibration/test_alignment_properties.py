"""What holds for every alignment: points are kept, order and library change nothing."""

import random
from collections.abc import Callable
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelops.calibration import (
    Aligned,
    AsOfAlignment,
    ExactAlignment,
    InterpolationAlignment,
    MetricAlignment,
    PreparingAlignment,
)
from modelops.core.errors import CalibrationError

Columns = dict[str, list[Any]]
KEYED = [
    ExactAlignment(),
    *(AsOfAlignment(direction, along="day") for direction in ("backward", "forward", "nearest")),
    AsOfAlignment("nearest", along="day", tolerance=2),
    InterpolationAlignment(along="day"),
    InterpolationAlignment(along="day", edge="hold"),
]
LIBRARIES: list[Callable[[Columns], Any]] = [dict, pd.DataFrame, pl.DataFrame, pa.table]

keys = st.lists(
    st.tuples(st.integers(-6, 6), st.sampled_from("ab")), min_size=1, max_size=16, unique=True
)
numbers = st.floats(-1e9, 1e9)


def columns(rows: list[tuple[int, str]], values: list[float]) -> Columns:
    return {
        "day": [day for day, _ in rows],
        "region": [region for _, region in rows],
        "x": values,
    }


def shuffled(table: Columns, chance: random.Random) -> Columns:
    order = list(range(len(table["x"])))
    chance.shuffle(order)
    return {name: [column[row] for row in order] for name, column in table.items()}


def outcome(alignment: Any, observed: Any, simulated: Any) -> Aligned | str:
    try:
        return alignment.align(observed, simulated, on=("region", "day"), value="x")
    except CalibrationError:
        return "refused"


def numbers_of(aligned: Aligned | str) -> Any:
    if isinstance(aligned, str):
        return aligned
    return aligned.observed.tolist(), aligned.simulated.tolist()


@st.composite
def cases(draw: st.DrawFn) -> tuple[Columns, list[Columns]]:
    def table(rows: list[tuple[int, str]]) -> Columns:
        return columns(rows, [draw(numbers) for _ in rows])

    # Mostly points that are simulated: else each case would be an error.
    often = draw(keys)
    observed = draw(st.lists(st.sampled_from(often), min_size=1, unique=True) | keys)
    replicates = draw(st.lists(st.just(often) | keys, min_size=1, max_size=3))
    return table(observed), [table(rows) for rows in replicates]


@pytest.mark.parametrize("alignment", KEYED, ids=repr)
@given(case=cases(), chance=st.randoms(use_true_random=False))
def test_points_are_kept_and_no_order_matters(
    alignment: Any, case: tuple[Columns, list[Columns]], chance: random.Random
) -> None:
    observed, replicates = case
    aligned = outcome(alignment, observed, replicates)
    if isinstance(aligned, Aligned):
        assert aligned.observed.tolist() == observed["x"]
        assert aligned.simulated.shape == (len(replicates), len(observed["x"]))
        assert aligned.points is not None
        assert aligned.points.to_pydict() == observed

    mixed = [shuffled(table, chance) for table in replicates]
    assert numbers_of(outcome(alignment, observed, mixed)) == numbers_of(aligned)
    backwards = outcome(alignment, observed, replicates[::-1])
    assert isinstance(backwards, str) == isinstance(aligned, str)
    if isinstance(aligned, Aligned) and isinstance(backwards, Aligned):
        assert backwards.simulated.tolist() == aligned.simulated.tolist()[::-1]

    turned = shuffled(observed, chance)
    again = outcome(alignment, turned, replicates)
    assert isinstance(again, str) == isinstance(aligned, str)
    if isinstance(aligned, Aligned) and isinstance(again, Aligned):
        place = {
            key: i for i, key in enumerate(zip(observed["day"], observed["region"], strict=True))
        }
        order = [place[key] for key in zip(turned["day"], turned["region"], strict=True)]
        assert again.simulated.tolist() == aligned.simulated[:, order].tolist()


@pytest.mark.parametrize("alignment", KEYED, ids=repr)
@given(case=cases(), libraries=st.tuples(st.sampled_from(LIBRARIES), st.sampled_from(LIBRARIES)))
def test_every_library_gives_the_same(
    alignment: Any, case: tuple[Columns, list[Columns]], libraries: Any
) -> None:
    observed, replicates = case
    made = outcome(alignment, libraries[0](observed), [libraries[1](table) for table in replicates])
    assert numbers_of(made) == numbers_of(outcome(alignment, observed, replicates))


@pytest.mark.parametrize("alignment", KEYED, ids=repr)
@given(case=cases(), others=cases())
def test_what_was_prepared_gives_the_same_each_time(
    alignment: Any, case: tuple[Columns, list[Columns]], others: tuple[Columns, list[Columns]]
) -> None:
    assert isinstance(alignment, PreparingAlignment)
    observed, replicates = case
    try:
        prepared = alignment.prepare(observed, on=("region", "day"), value="x")
    except CalibrationError:
        assert outcome(alignment, observed, replicates) == "refused"
        return
    for simulated in (replicates, others[1], replicates, replicates[::-1]):
        try:
            again = numbers_of(prepared.align(simulated))
        except CalibrationError:
            again = "refused"
        assert again == numbers_of(outcome(alignment, observed, simulated))


@given(
    st.lists(numbers, min_size=1, max_size=5),
    st.sampled_from(LIBRARIES),
    st.randoms(use_true_random=False),
)
def test_metrics_are_kept_and_no_order_matters(
    values: list[float], library: Callable[[Columns], Any], chance: random.Random
) -> None:
    def table(value: float) -> Columns:
        rows = [("R0", value), ("peak", 1.0), ("rate", 0.5)]
        chance.shuffle(rows)
        return {"metric": [name for name, _ in rows], "value": [number for _, number in rows]}

    observed = library(table(2.5))
    alignment = MetricAlignment("R0")
    apart = alignment.align(observed, [library(table(value)) for value in values])
    wide = alignment.align(observed, library({"R0": values, "other": [0.0] * len(values)}))
    tables = [table(value) for value in values]
    together = alignment.align(
        observed,
        library(
            {
                "metric": [name for each in tables for name in each["metric"]],
                "value": [number for each in tables for number in each["value"]],
                "replicate": [index for index in range(len(values)) for _ in range(3)],
            }
        ),
    )
    for aligned in (apart, wide, together):
        assert aligned.observed.tolist() == [2.5]
        assert aligned.simulated.tolist() == [[value] for value in values]
