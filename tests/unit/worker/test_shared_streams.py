"""Tables of many simulations, in one message to the child that evaluates them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelops.contracts import AlignedOutputs, Outputs
from modelops.worker.answer_builder import AnswerBuilder
from modelops.worker.answers import Answers, LazyTables
from modelops.worker.frames import decode, encode
from modelops.worker.message_frames import to_frame, to_request
from modelops.worker.messages import Evaluate, Rows
from modelops.worker.outputs import LARGE_BYTES, from_ipc, rows_of, to_ipc, to_tables
from modelops.worker.shared_streams import shared

CALLS = 100
names = st.sampled_from(["a", "b"])
values = st.one_of(
    st.dictionaries(names, st.floats(), min_size=1, max_size=2),
    st.fixed_dictionaries({"a": st.lists(st.text(max_size=2), max_size=2)}),
    st.dictionaries(
        names, st.fixed_dictionaries({"n": st.lists(st.integers(0, 9))}), min_size=1, max_size=2
    ),
    st.just({"kind": np.array(["u", None], object)}),
)


def outputs_of(results: Sequence[Any]) -> list[Outputs]:
    builder = AnswerBuilder()
    for result in results:
        if not builder.add_scalars(result):
            builder.add_tables(to_tables(result))
        builder.note(0.0, 0.1, "")
    answers = Answers(builder.encode())
    return [answers.outcome(position, "").outputs for position in range(len(answers))]


def sent(trials: Sequence[Sequence[Outputs]]) -> Evaluate:
    request = to_request(decode(encode(to_frame(Evaluate({"t": "m:f"}, *shared(trials))))))
    assert isinstance(request, Evaluate)
    return request


def received(request: Evaluate) -> list[list[Any]]:
    def table(rows: Rows) -> bytes:
        stream = from_ipc(request.streams[rows.stream])
        count = stream.num_rows if rows.number < 0 else rows.number
        return to_ipc(rows_of(stream, rows.start, count))

    return [
        [
            each
            if isinstance(each, AlignedOutputs)
            else {name: table(rows) for name, rows in each.items()}
            for each in trial
        ]
        for trial in request.trials
    ]


@given(st.lists(st.lists(values, min_size=1, max_size=5), min_size=1, max_size=3), st.data())
def test_each_trial_has_its_tables(chunks: list[list[Any]], data: st.DataObject) -> None:
    known = [outputs for results in chunks for outputs in outputs_of(results)]
    points = AlignedOutputs({"cases": np.arange(2.0).tobytes(), "deaths": b""})
    plain = {name: bytes(table) for name, table in known[0].items()}
    trials = data.draw(
        st.lists(st.lists(st.sampled_from([*known, points, plain]), max_size=4), max_size=4)
    )

    found = received(sent(trials))

    assert found == [
        [each if isinstance(each, AlignedOutputs) else dict(each) for each in trial]
        for trial in trials
    ]


@pytest.mark.parametrize(
    ("length", "wanted", "rows"),
    [
        pytest.param(1, 10, 10, id="a tenth"),
        pytest.param(1, 60, CALLS, id="more than half"),
        pytest.param(5_000, 60, 60 * 5_000, id="more than half, and much"),
        pytest.param(5_000, CALLS, CALLS * 5_000, id="all"),
    ],
)
def test_what_nobody_asked_for_is_left_out_where_that_pays(
    length: int, wanted: int, rows: int
) -> None:
    outputs = outputs_of([{"x": np.full(length, float(index))} for index in range(CALLS)])

    request = sent([outputs[:5], outputs[5:wanted]])

    (stream,) = request.streams
    assert from_ipc(stream).num_rows == rows


@pytest.mark.parametrize("length", [10, 10_000])
def test_how_much_tables_take_is_known_without_making_them(length: int) -> None:
    long = "x" * (100 * length)
    outputs = outputs_of([{"x": [long if index == 3 else "x"]} for index in range(CALLS)])
    assert all(isinstance(each, LazyTables) for each in outputs)

    sizes = [each.size for each in outputs if isinstance(each, LazyTables)]

    assert sum(sizes) == pytest.approx(len(long), rel=0.5, abs=4_000)
    if len(long) > LARGE_BYTES:
        assert sizes[3] == pytest.approx(len(long), rel=0.01)
        assert max(sizes[:3] + sizes[4:]) < 100
