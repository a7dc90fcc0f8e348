import logging

import pytest

from modelops.contracts import TrialStatus
from modelops.runner.log import RunLog, log_event
from modelops.runner.records import TrialOutcome


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def level(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "modelops.runner")


def test_values_are_quoted_where_they_need_it(caplog: pytest.LogCaptureFixture) -> None:
    log_event("start", plain="sha256:ab", text='it "is" so', empty="", none=None, lines="a\nb", n=1)
    assert caplog.messages == [
        'start plain=sha256:ab text="it \\"is\\" so" empty="" lines="a\\nb" n=1'
    ]


def test_every_failed_trial_is_logged_with_the_tail_of_its_output(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log = RunLog(10, Clock())
    details = "\n".join(f"line {number}" for number in range(100))
    failed = TrialOutcome(
        TrialStatus.FAILED, reason="model", message="ValueError: no", details=details
    )
    for trial in (3, 4):
        log.trial_ended(trial, failed)
    assert caplog.messages[0] == 'trial_failed trial=3 reason=model message="ValueError: no"'
    assert caplog.messages[30] == "  | line 99"
    assert caplog.messages[1] == "  | line 70"
    assert caplog.messages[31].startswith("trial_failed trial=4")


def test_progress_now_and_then(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    log = RunLog(100, clock)
    for trial in range(30):
        clock.now = trial
        log.trial_ended(trial, TrialOutcome(TrialStatus.COMPLETED, loss=abs(trial - 15.0)))
    log.progress("ended")
    assert caplog.messages == [
        "progress ended_trials=11 failed_trials=0 n_trials=100 best_loss=5.0 best_trial=10",
        "progress ended_trials=21 failed_trials=0 n_trials=100 best_loss=0.0 best_trial=15",
        "ended ended_trials=30 failed_trials=0 n_trials=100 best_loss=0.0 best_trial=15",
    ]


def test_a_resumed_run_says_how_much_is_replayed(caplog: pytest.LogCaptureFixture) -> None:
    RunLog(10, Clock()).resumed(asked=5, ended=3, restored=2)
    assert caplog.messages == [
        "resume replayed_trials=3 asked_trials=5 restored_trials=2 n_trials=10"
    ]
