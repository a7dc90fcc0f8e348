import datetime
from dataclasses import replace

import pytest

from modelops.cli.advice import ended_badly, next_step, what_became
from modelops.cli.output import span_words
from modelops.cli.runs import INTERRUPTED
from modelops.runner.progress import RunProgress, RunState, Wanted

NOW = datetime.datetime(2026, 3, 1, tzinfo=datetime.UTC)
RUN = RunProgress(
    run_id="fit-1",
    algorithm="fit",
    state=RunState.RUNNING,
    n_trials=8,
    asked=4,
    completed=3,
    failed=0,
    best_loss=0.5,
    created_at=NOW,
    started_at=NOW,
    finished_at=None,
    message="",
    is_settled=False,
    wanted=Wanted.RUNNING,
    wanted_at=None,
    wanted_by=None,
    best_trial=0,
    best_params={"x": 0.5},
    trials_per_second=1.0,
)


@pytest.mark.parametrize("state", [*RunState, INTERRUPTED])
def test_for_each_state_there_is_a_command_that_names_the_run(state: str) -> None:
    assert "mops adaptive " in next_step(RUN, state)
    assert "--run-id fit-1" in next_step(RUN, state)


def test_a_run_that_failed_for_good_is_not_to_be_resumed() -> None:
    failed = replace(RUN, state=RunState.FAILED, message="no such disease")
    assert "mops adaptive resume --run-id fit-1" in str(ended_badly(failed))
    for_good = replace(failed, is_settled=True)
    assert "resume" not in str(ended_badly(for_good))
    assert "Another start would end in the same way" in str(ended_badly(for_good))
    assert "no such disease" in what_became(for_good, "failed")


def test_a_run_that_is_neither_failed_nor_cancelled_has_lost_its_runner() -> None:
    for state in (RunState.RUNNING, RunState.PAUSED):
        error = ended_badly(replace(RUN, state=state))
        assert error.message == "The runner of fit-1 is gone."
        assert "resume" in error.hint
    assert "was cancelled" in str(ended_badly(replace(RUN, state=RunState.CANCELLED)))


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "0s"), (59.6, "1m00s"), (185, "3m05s"), (7_620, "2h07m")]
)
def test_spans_of_time(seconds: float, words: str) -> None:
    assert span_words(seconds) == words
