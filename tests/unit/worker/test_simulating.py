from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelops.contracts import FailureReason
from modelops.worker import simulating
from modelops.worker.answer_builder import AnswerBuilder
from modelops.worker.answers import Answers
from modelops.worker.user_code import UserCode, UserCodeError

LONG = "x" * 2_000


@pytest.fixture(autouse=True)
def _little_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulating, "MAX_RESULT_BYTES", 1_000)


@pytest.mark.parametrize(
    "value",
    [
        {"x": np.zeros(200)},
        {"a": {"x": np.zeros(100)}, "b": {"x": np.zeros(100)}},
        {"x": LONG},
        {"x": LONG, "y": 1.0},
    ],
)
def test_a_result_that_is_too_large_fails_and_leaves_nothing(value: dict[str, Any]) -> None:
    builder = AnswerBuilder()

    with pytest.raises(UserCodeError) as caught:
        simulating.add_value(UserCode(Path()), builder, value=value, outputs=())

    assert caught.value.failure.reason is FailureReason.OUTPUT
    assert "bytes, over 1,000" in caught.value.failure.message
    assert len(builder) == 0


def test_only_what_is_kept_counts() -> None:
    builder = AnswerBuilder()
    value = {"kept": {"x": np.zeros(100)}, "other": {"x": np.zeros(10_000)}}

    simulating.add_value(UserCode(Path()), builder, value=value, outputs=("kept",))
    builder.note(0.0, 0.0, "")

    assert Answers(builder.encode()).tables(0)["kept"].num_rows == 100


@pytest.mark.parametrize("value", [{"x": LONG}, {"x": np.zeros(250)}])
def test_a_message_is_full_before_it_is_more_than_can_be_sent(
    monkeypatch: pytest.MonkeyPatch, value: dict[str, Any]
) -> None:
    monkeypatch.setattr(simulating, "MAX_RESULT_BYTES", 2**29)
    monkeypatch.setattr("modelops.worker.answer_builder._FULL_TABLES", 10_000)
    builder = AnswerBuilder()
    count = 0
    while not builder.is_full:
        simulating.add_value(UserCode(Path()), builder, value=value, outputs=())
        count += 1
        assert count < 10

    assert count > 3
