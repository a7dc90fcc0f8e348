import datetime
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelops.core.errors import BundleFileError
from modelops.worker.outputs import RowCutter, from_ipc, rows_of, select_tables, to_ipc, to_tables

columns = st.integers(1, 8).flatmap(
    lambda rows: st.dictionaries(
        st.text(st.characters(codec="utf-8"), min_size=1, max_size=5),
        st.one_of(
            st.lists(st.integers(-(2**63), 2**63 - 1), min_size=rows, max_size=rows),
            st.lists(st.floats(allow_nan=False), min_size=rows, max_size=rows),
            st.lists(st.none() | st.text(max_size=5), min_size=rows, max_size=rows).filter(
                lambda values: all(value is None or value.isascii() for value in values)
            ),
        ),
        min_size=1,
        max_size=4,
    )
)


def test_scalars_are_one_row() -> None:
    value = {
        "r0": 2.5,
        "cases": np.int64(3),
        "ok": True,
        "name": "a",
        "day": datetime.date(2020, 1, 2),
    }

    (table,) = to_tables(value).values()

    assert table.to_pylist() == [
        {"r0": 2.5, "cases": 3, "ok": True, "name": "a", "day": datetime.date(2020, 1, 2)}
    ]


@pytest.mark.parametrize(
    "array",
    [
        [1, 2, 3],
        (1, 2, 3),
        range(1, 4),
        np.array([1, 2, 3]),
        pd.Series([1, 2, 3], index=[7, 8, 9]),
        pl.Series([1, 2, 3]),
        pa.array([1, 2, 3]),
        pa.chunked_array([[1], [2, 3]]),
    ],
    ids=lambda array: type(array).__name__,
)
def test_scalars_beside_arrays_are_repeated(array: Any) -> None:
    tables = to_tables({"seed": 7, "x": array, "zero": np.array(0.5)})

    assert tables["output"].to_pydict() == {"seed": [7] * 3, "x": [1, 2, 3], "zero": [0.5] * 3}


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, pa.table, dict])
def test_tables_of_every_kind_are_taken(make: Callable[[Any], Any]) -> None:
    frame = make({"t": [0, 1], "cases": [1.0, 2.5]})

    tables = to_tables({"b": frame, "a": frame})

    assert list(tables) == ["a", "b"]
    assert tables["a"].to_pydict() == {"t": [0, 1], "cases": [1.0, 2.5]}


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, pa.table])
def test_one_data_frame_is_the_table_output(make: Callable[[Any], Any]) -> None:
    tables = to_tables(make({"t": [0, 1]}))

    assert {name: table.to_pydict() for name, table in tables.items()} == {"output": {"t": [0, 1]}}


def test_a_named_pandas_index_becomes_columns_and_an_unnamed_one_goes() -> None:
    named = pd.DataFrame({"n": [3, 4]}, index=pd.Index(["x", "y"], name="region"))
    unnamed = pd.DataFrame({"n": [3, 4]}, index=[8, 9])

    assert to_tables(named)["output"].to_pydict() == {"region": ["x", "y"], "n": [3, 4]}
    assert to_tables(unnamed)["output"].to_pydict() == {"n": [3, 4]}


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "returned None"),
        (3, "returned an int"),
        ([1, 2], "returned a list"),
        ({}, "empty dict"),
        ({1: 2}, "name 1 isn't text"),
        ({"x": [1, 2], "y": [1]}, "different lengths ('x': 2, 'y': 1)"),
        ({"x": np.zeros((2, 3))}, "'x' is an array of shape (2, 3) and type float64"),
        ({"x": [[1], [2]]}, "more than one dimension"),
        ({"x": {1, 2}}, "'x' is a set"),
        ({"x": [object()]}, "holds what Arrow can't"),
        ({"x": 2**70}, "Arrow can't hold"),
        ({"t": {"x": [1]}, "y": 3}, "'t' is a table and 'y' is an int"),
        ({"t": {}}, "without columns"),
        (pd.DataFrame({"x": [1, "a"]}), "Arrow can't hold"),
        (pd.DataFrame({0: [1]}), "name 0 isn't text"),
        (pl.LazyFrame({"x": [1]}), "LazyFrame"),
    ],
)
def test_what_is_not_accepted_is_described(value: object, said: str) -> None:
    with pytest.raises(BundleFileError) as caught:
        to_tables(value)

    assert said in caught.value.message
    assert "a dict of tables" in caught.value.hint


def test_only_the_outputs_asked_for_are_kept() -> None:
    tables = to_tables({"a": {"x": [1]}, "b": {"x": [2]}})

    assert list(select_tables(tables, ())) == ["a", "b"]
    assert list(select_tables(tables, ("b",))) == ["b"]
    with pytest.raises(BundleFileError, match="no table 'c'; it returned: a, b"):
        select_tables(tables, ("a", "c"))


@given(columns)
def test_tables_come_back_from_their_bytes(data: dict[str, list[Any]]) -> None:
    (table,) = to_tables({"t": data}).values()

    assert from_ipc(to_ipc(table)).to_pydict() == data


@given(columns, st.data())
def test_equal_tables_have_equal_bytes(data: dict[str, list[Any]], draw: st.DataObject) -> None:
    table = pa.table(data)
    cut = draw.draw(st.integers(0, table.num_rows))
    chunked = pa.concat_tables([table.slice(0, cut), table.slice(cut)])
    longer = pa.concat_tables([table, table]).combine_chunks()
    described = table.replace_schema_metadata({"made": "elsewhere"})

    expected = to_ipc(table)

    assert to_ipc(chunked) == expected
    assert to_ipc(longer.slice(table.num_rows)) == expected
    assert to_ipc(described) == expected


@pytest.mark.parametrize(
    "column",
    [
        pa.array(np.arange(20.0)),
        pa.array(np.arange(20), pa.int8()),
        pa.array(["", "secret", "ä", "abc"] * 5),
        pa.array([b"", b"secret", b"xy", b"abc"] * 5, pa.large_binary()),
        pa.array(np.arange(20), pa.timestamp("us", "UTC")),
        pa.array([True, True, False, True] * 5),
        pa.array([1.0, None, 3.0, 4.0] * 5),
        pa.array([None] * 20),
        pa.array([[1], [2, 3], [], [4]] * 5),
        pa.array(["a", "b", "a", "c"] * 5).dictionary_encode(),
        pa.chunked_array([np.arange(7), np.arange(13)]),
    ],
    ids=lambda column: str(column.type),
)
def test_rows_cut_out_of_a_table_have_the_bytes_of_a_table_of_their_own(column: pa.Array) -> None:
    table = pa.table({"x": column, "y": np.arange(20.0)}).replace_schema_metadata({"a": "b"})
    whole = RowCutter(table)
    part = RowCutter(table.slice(1, 18))

    for start in range(18):
        for count in range(18 - start):
            expected = to_ipc(rows_of(table, 1 + start, count))
            assert whole.to_ipc(1 + start, count) == expected
            assert part.to_ipc(start, count) == expected


def test_an_empty_table_has_one_form() -> None:
    none = pa.table({"x": pa.chunked_array([], pa.int64())})
    empty = pa.table({"x": pa.array([], pa.int64())})

    assert to_ipc(none) == to_ipc(empty)
    assert from_ipc(to_ipc(empty)).schema == empty.schema
