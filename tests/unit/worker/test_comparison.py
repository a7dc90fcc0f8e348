import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelops.contracts import FailureReason, SimFailure, SimReturn, SimStatus
from modelops.worker.comparison import Difference, compare
from modelops.worker.outputs import to_ipc


def _outcome(**tables: dict[str, Any] | pa.Table) -> SimReturn:
    data = {
        name: to_ipc(table if isinstance(table, pa.Table) else pa.table(table))
        for name, table in tables.items()
    }
    return SimReturn("task", SimStatus.COMPLETED, data)


def _failed(message: str, reason: FailureReason = FailureReason.MODEL) -> SimReturn:
    return SimReturn("task", SimStatus.FAILED, failure=SimFailure(reason, message))


def _only(expected: Any, found: Any) -> Difference:
    (difference,) = compare(_outcome(t={"x": expected}), _outcome(t={"x": found}))
    assert (difference.table, difference.column) == ("t", "x")
    return difference


@given(st.lists(st.floats() | st.none(), max_size=8), st.sampled_from(["f2", "f4", "f8"]))
def test_nans_of_other_bits_make_no_difference(values: list[float | None], width: str) -> None:
    with np.errstate(over="ignore"):
        array = np.array([math.nan if value is None else value for value in values], width)
    other = array.copy()
    other.view(f"u{array.itemsize}")[np.isnan(array)] |= 1
    mask = np.array([value is None for value in values], bool)
    tables = [{"x": pa.array(numbers, mask=mask)} for numbers in (array, other)]

    assert compare(_outcome(t=tables[0]), _outcome(t=tables[1])) == []


@given(st.lists(st.tuples(*[st.sampled_from([0.0, -0.0, 1.5, math.inf, None])] * 2), min_size=1))
def test_every_row_of_other_bits_is_counted(pairs: list[tuple[float | None, float | None]]) -> None:
    columns = [pa.array([pair[side] for pair in pairs], pa.float64()) for side in (0, 1)]
    differing = [row for row, (a, b) in enumerate(pairs) if repr(a) != repr(b)]

    found = compare(_outcome(t={"x": columns[0]}), _outcome(t={"x": columns[1]}))

    assert [(item.row, item.n_differing) for item in found] == (
        [(differing[0], len(differing))] if differing else []
    )


def test_a_nan_is_every_nan_and_no_null() -> None:
    other_nan = np.array([0x7FF8_0000_0000_0001], np.uint64).view(np.float64)

    assert compare(_outcome(t={"x": [math.nan]}), _outcome(t={"x": other_nan})) == []
    difference = _only([math.nan], pa.array([None], pa.float64()))
    assert (difference.expected, difference.found) == ("nan", "None")
    assert difference.largest_absolute is None


def test_the_field_the_row_and_the_size_of_a_difference() -> None:
    difference = _only([1.0, 2.0, 4.0, math.nan], [1.0, 2.5, -4.0, math.nan])

    assert (difference.row, difference.n_differing, difference.n_rows) == (1, 2, 4)
    assert (difference.expected, difference.found) == ("2.0", "2.5")
    assert (difference.largest_absolute, difference.largest_relative) == (8.0, 2.0)
    assert not difference.is_reordered


def test_zeros_of_both_signs_differ() -> None:
    difference = _only([0.0], [-0.0])

    assert (difference.expected, difference.found) == ("0.0", "-0.0")
    assert difference.largest_absolute == 0.0


def test_the_distance_to_an_infinity_is_infinite() -> None:
    difference = _only([1.0], [math.inf])

    assert (difference.largest_absolute, difference.largest_relative) == (math.inf, math.inf)
    assert difference.to_json()["largest_absolute"] == "inf"


def test_large_whole_numbers_are_compared_exactly() -> None:
    difference = _only([2**63 - 1], [2**63 - 2])

    assert difference.largest_absolute == 1.0


@pytest.mark.parametrize(
    ("expected", "found"),
    [
        (["a", "b"], ["a", "c"]),
        ([True], [False]),
        (pa.array([1], pa.timestamp("ns")), pa.array([2], pa.timestamp("ns"))),
        (pa.array([1], pa.duration("ns")), pa.array([2], pa.duration("ns"))),
        (pa.array([[0.0]]), pa.array([[-0.0]])),
        (pa.array([{"a": 1}]), pa.array([{"a": 2}])),
        (pa.array(["a"]).dictionary_encode(), pa.array(["b"]).dictionary_encode()),
    ],
    ids=lambda value: str(getattr(value, "type", "list")),
)
def test_columns_of_every_type_are_compared(expected: Any, found: Any) -> None:
    assert _only(expected, found).n_differing == 1
    assert compare(_outcome(t={"x": expected}), _outcome(t={"x": expected})) == []


def test_nested_nans_are_equal() -> None:
    # A null beside it, so that the bytes differ though the values don't.
    expected = pa.array([[math.nan], None])
    found = pa.ListArray.from_arrays([0, 1, 1], [math.nan], mask=pa.array([False, True]))

    assert compare(_outcome(t={"x": expected}), _outcome(t={"x": found})) == []


def test_what_lies_beneath_a_null_does_not_count() -> None:
    values = [np.array([1.0, hidden]) for hidden in (7.0, 8.0)]
    mask = np.array([False, True])
    arrays = [
        pa.Array.from_buffers(
            pa.float64(), 2, [pa.py_buffer(np.packbits(~mask, bitorder="little")), pa.py_buffer(v)]
        )
        for v in values
    ]

    assert compare(_outcome(t={"x": arrays[0]}), _outcome(t={"x": arrays[1]})) == []


def test_the_same_values_in_another_order() -> None:
    assert _only(["a", "b", "c"], ["a", "c", "b"]).is_reordered


@pytest.mark.parametrize(
    ("expected", "found", "field", "said"),
    [
        ({"t": {"x": [1]}}, {"u": {"x": [1]}}, (None, None), "the tables 'u'"),
        ({"t": {"x": [1]}}, {"t": {"y": [1]}}, ("t", None), "the columns 'y'"),
        (
            {"t": {"x": [1], "y": [1]}},
            {"t": {"y": [1], "x": [1]}},
            ("t", None),
            "the columns 'y', 'x'",
        ),
        ({"t": {"x": [1]}}, {"t": {"x": [1, 2]}}, ("t", None), "2 rows"),
        ({"t": {"x": [1]}}, {"t": {"x": [1.0]}}, ("t", "x"), "the type double"),
    ],
)
def test_other_shapes(
    expected: dict[str, Any], found: dict[str, Any], field: tuple[str, str], said: str
) -> None:
    (difference,) = compare(_outcome(**expected), _outcome(**found))

    assert (difference.table, difference.column) == field
    assert difference.found == said
    assert difference.row is None


def test_a_failure_is_another_outcome() -> None:
    (difference,) = compare(_outcome(t={"x": [1]}), _failed("ValueError: no"))

    assert difference.expected == "a result"
    assert difference.found == "a failure (model): ValueError: no"
    assert not difference.is_timeout
    (late,) = compare(_failed("slow", FailureReason.TIMEOUT), _failed("ValueError: no"))
    assert late.is_timeout


def test_the_same_failure_is_the_same_wherever_objects_lay() -> None:
    here, there = (_failed(f"<A object at 0x7f{n:010x}> is bad") for n in (1, 2))

    assert compare(here, there) == []
    assert compare(here, _failed("another")) != []


def test_a_field_is_within_its_table_and_all_is_within_the_outcome() -> None:
    column, table, outcome = (
        Difference("a", "b", table=table, column=column)
        for table, column in (("t", "x"), ("t", None), (None, None))
    )

    assert column.is_within(column)
    assert column.is_within(table)
    assert column.is_within(outcome)
    assert not table.is_within(column)
    assert not outcome.is_within(table)
    assert not column.is_within(Difference("a", "b", table="t", column="y"))
    assert not column.is_within(Difference("a", "b", table="u"))
