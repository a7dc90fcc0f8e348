import datetime
import math
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelops.contracts import FailureReason, SimFailure, SimStatus, SimTiming
from modelops.worker.answer_builder import AnswerBuilder
from modelops.worker.answers import Answers
from modelops.worker.frames import FrameError
from modelops.worker.outputs import LARGE_BYTES, to_ipc, to_tables

names = st.text(max_size=3)
scalars = (
    st.floats()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.text(st.characters(codec="utf-8"), max_size=4)
    | st.none()
    | st.floats(width=32).map(np.float32)
    | st.integers(-5, 5).map(np.int16)
    | st.dates().map(lambda day: datetime.datetime(day.year, day.month, day.day))  # noqa: DTZ001
)
columns = st.one_of(
    st.lists(st.floats() | st.none(), min_size=3, max_size=3),
    st.lists(st.booleans() | st.none(), min_size=3, max_size=3),
    st.lists(st.text(st.characters(codec="utf-8"), max_size=3), min_size=3, max_size=3),
    st.builds(
        lambda each, kind, step: np.array(each, kind)[::step],
        st.lists(st.integers(0, 200), min_size=6, max_size=6),
        st.sampled_from(["u1", "i8", "f4", "f8", "f2", "?", "O"]),
        st.just(2),
    ),
    st.lists(st.sampled_from("ab"), min_size=3, max_size=3).map(pd.Categorical).map(pd.Series),
)
values = st.one_of(
    st.dictionaries(names, scalars, min_size=1, max_size=3),
    st.dictionaries(names, columns, min_size=1, max_size=3),
    st.dictionaries(names, st.floats().map(lambda x: np.full(2, x)), min_size=1, max_size=2),
    st.dictionaries(
        names, st.dictionaries(names, columns, min_size=1, max_size=2), min_size=1, max_size=2
    ),
    st.floats(-9, 9).map(lambda x: {"x": x}),
)


def add(builder: AnswerBuilder, value: Any) -> None:
    if not (builder.add_scalars(value) or builder.add_arrays(value, 64)):
        builder.add_tables(to_tables(value))
    builder.note(0.5, 0.25, "")


@given(st.lists(values, max_size=6))
def test_tables_come_back_byte_for_byte_as_they_would_be_by_themselves(each: list[Any]) -> None:
    builder = AnswerBuilder()
    for value in each:
        add(builder, value)
    answers = Answers(builder.encode())

    assert len(answers) == len(each)
    for position, value in enumerate(each):
        alone = {name: to_ipc(table) for name, table in to_tables(value).items()}
        outcome = answers.outcome(position, "id")
        assert outcome.status is SimStatus.COMPLETED
        assert dict(outcome.tables) == alone
        assert list(outcome.tables) == list(alone)


@pytest.mark.parametrize("size", [3, 3_000])
def test_a_model_may_write_into_what_it_returned(size: int) -> None:
    builder, array = AnswerBuilder(), np.empty(size)
    for seed in range(4):
        array[:] = seed
        for value in ({"x": array}, {"x": pa.array(array)}, {"t": pd.DataFrame({"x": array})}):
            add(builder, value)
        builder.own()
    array[:] = -1

    answers = Answers(builder.encode())
    for position in range(len(answers)):
        (found,) = answers.tables(position).values()
        assert found["x"].to_pylist() == [float(position // 3)] * size


def test_failures_logs_and_times_are_those_of_their_simulation() -> None:
    builder = AnswerBuilder()
    add(builder, {"x": 1.0})
    builder.add_failure(SimFailure(FailureReason.MODEL, "no \ud800", "in line 3"))
    builder.note(1.0, 2.0, "said\n")
    builder.add_tables(to_tables({"x": [1, 2]}))
    builder.note(3.0, 4.0, "more\n")
    answers = Answers(builder.encode())

    timing = SimTiming(1.0, 2.0, 3.0, 4.0)
    first, second, third = (answers.outcome(at, f"id{at}", timing) for at in range(3))
    assert (first.task_id, first.log, first.seconds, first.timing) == ("id0", "", 0.25, timing)
    assert second.failure == SimFailure(
        FailureReason.MODEL, "no \\ud800", "in line 3\nThe model wrote:\nsaid\n"
    )
    assert (second.log, second.seconds, dict(second.tables)) == ("said\n", 2.0, {})
    assert (third.log, third.failure) == ("more\n", None)
    assert (answers.begun, answers.failure(0)) == ([0.5, 1.0, 3.0], None)


def test_a_table_that_is_missing_is_a_key_error() -> None:
    builder = AnswerBuilder()
    add(builder, {"x": 1.0})
    tables = Answers(builder.encode()).outcome(0, "id").tables

    with pytest.raises(KeyError):
        tables["other"]
    assert "output" in tables
    assert "output" in repr(tables)


def test_a_builder_says_when_a_frame_gets_full() -> None:
    by_tables, by_text, by_streams = AnswerBuilder(), AnswerBuilder(), AnswerBuilder()
    assert not by_tables.is_full
    by_tables.add_tables({"t": pa.table({"x": np.zeros(9 * 2**20)})})
    assert by_tables.is_full
    by_text.add_failure(SimFailure(FailureReason.MODEL, "", "x" * 2**21))
    by_text.note(0.0, 0.0, "x")
    assert by_text.is_full
    nested = pa.table({"x": [[1]]})
    for _ in range(1_001):
        by_streams.add_tables({"t": nested})
    assert by_streams.is_full


def test_what_one_answer_holds_is_taken_over_by_another() -> None:
    own, other, failed = AnswerBuilder(), AnswerBuilder(), AnswerBuilder()
    add(other, {"x": [1, 2]})
    failed.add_failure(SimFailure(FailureReason.MODEL, "no"))
    failed.note(0.0, 0.0, "")
    for each in (other, failed):
        own.take_over(Answers(each.encode()))
        own.note(0.0, 1.0, "")
    answers = Answers(own.encode())

    assert dict(answers.outcome(0, "id").tables) == {
        "output": to_ipc(to_tables({"x": [1, 2]})["output"])
    }
    assert answers.failure(1) == SimFailure(FailureReason.MODEL, "no")
    with pytest.raises(FrameError):
        own.take_over(answers)


def _whole() -> bytes:
    builder = AnswerBuilder()
    for value in ({"x": 1.0}, {"x": [1.0, 2.0]}, {"a": {"x": [1]}, "b": {"y": ["z"]}}):
        add(builder, value)
    builder.add_failure(SimFailure(FailureReason.MODEL, "no", "details"))
    builder.note(0.0, 0.0, "said")
    return builder.encode()


WHOLE = _whole()


@given(st.integers(0, len(WHOLE) - 1), st.integers(1, 255))
def test_altered_answers_are_read_or_refused(at: int, change: int) -> None:
    altered = bytearray(WHOLE)
    altered[at] ^= change
    try:
        answers = Answers(bytes(altered))
    except FrameError:
        return
    for position in range(len(answers)):
        outcome = answers.outcome(position, "id")
        assert (outcome.failure is None) == (outcome.status is SimStatus.COMPLETED)
        assert math.isfinite(outcome.seconds)


@given(st.integers(0, len(WHOLE) - 1))
def test_answers_that_were_cut_short_are_refused(size: int) -> None:
    with pytest.raises(FrameError):
        Answers(WHOLE[:size])


def test_large_outputs_are_counted_of_all_tables_together() -> None:
    builder = AnswerBuilder()
    rows = LARGE_BYTES // 8
    add(builder, {"x": 1.0})
    add(builder, {"x": np.zeros(rows)})
    add(builder, {"a": {"x": np.zeros(rows // 2)}, "b": {"x": np.zeros(rows // 2)}})
    add(builder, {"x": np.zeros(rows - 1)})
    assert builder.large == [1, 2]

    copied = AnswerBuilder()
    answers = Answers(builder.encode())
    for position in range(4):
        copied.copy(answers, position)
    assert copied.large == [1, 2]


def test_points_are_read_only_where_there_are_some() -> None:
    builder = AnswerBuilder()
    points = [0.1, -0.0, 5e-324]
    builder.add_tables({"cases": pa.table({"simulated": points})})
    builder.note(0.0, 2.0, "said")
    add(builder, {"x": [1, 2]})
    add(builder, {"x": [1.0, None]})
    answers = Answers(builder.encode())

    outcome = answers.outcome(0, "id", is_aligned=True)
    assert (outcome.status, outcome.seconds, outcome.log) == (SimStatus.COMPLETED, 2.0, "said")
    assert not outcome.tables
    assert outcome.outputs is outcome.aligned
    assert outcome.aligned is not None
    assert outcome.aligned.points == {"cases": np.array(points, "<f8").tobytes()}
    for position in (1, 2):
        with pytest.raises(FrameError, match="no points"):
            answers.outcome(position, "id", is_aligned=True)
