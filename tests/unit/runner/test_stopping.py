import pytest

from modelops.contracts import Limits, TrialStatus
from modelops.runner.instructions import Stop, Tell, TimeIsUp
from modelops.runner.records import TrialOutcome
from modelops.runner.stopping import StoppingRule
from unit.runner.simulated_run import ChainAlgorithm, follow, make_plan

FAILED = TrialOutcome(TrialStatus.FAILED, reason="model", message="it raised", seconds=60.0)


def completed(loss: float, seconds: float = 60.0) -> TrialOutcome:
    return TrialOutcome(TrialStatus.COMPLETED, loss=loss, seconds=seconds)


def enough_after(limits: Limits, *outcomes: TrialOutcome) -> list[bool]:
    """After each outcome, whether it's enough."""
    rule = StoppingRule(limits, 100)
    found = []
    for number, outcome in enumerate(outcomes):
        assert rule.failure(number, outcome) == ""
        found.append(bool(rule.enough))
    return found


def test_without_limits_nothing_is_enough() -> None:
    assert enough_after(Limits(), *map(completed, [0.0, 0.0, -1.0])) == [False] * 3


def test_a_loss_that_is_good_enough() -> None:
    limits = Limits(target_loss=0.5)
    assert enough_after(limits, *map(completed, [2.0, 0.6, 0.5])) == [False, False, True]


def test_trials_without_a_better_loss() -> None:
    limits = Limits(patience=2)
    outcomes = [completed(2.0), completed(2.0), completed(1.0), FAILED, completed(1.5)]
    assert enough_after(limits, *outcomes) == [False, False, False, False, True]


def test_what_the_simulations_cost() -> None:
    # A minute of a slot costs a dollar.
    limits = Limits(max_cost=3.0, slot_price=60.0)
    assert enough_after(limits, completed(1.0), FAILED, completed(1.0)) == [False, False, True]


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        (Limits(target_loss=1.5), "A loss of 1 is good enough: target_loss is 1.5."),
        (Limits(patience=1), "1 trials gave no better loss: patience is 1."),
        (
            Limits(max_cost=1.25, slot_price=60.0),
            "The simulations cost 2.00 US dollars: max_cost is 1.25.",
        ),
    ],
)
def test_the_reason_is_said(limits: Limits, said: str) -> None:
    rule = StoppingRule(limits, 100)
    for number in range(2):
        rule.failure(number, completed(1.0))
    assert rule.enough == said


def test_a_run_stops_at_the_same_trial_whatever_ends_first() -> None:
    plan = make_plan(n_trials=12, target_loss=0.4)
    runs = [
        follow(plan, ChainAlgorithm(12), choose)
        for choose in (lambda _: 0, lambda count: count - 1)
    ]
    assert runs[0].calls == runs[1].calls
    stop = runs[0].stop
    assert isinstance(stop, Stop)
    assert not stop.failed
    assert "target_loss is 0.4" in stop.message
    losses = [item.result.loss for item in runs[0].instructions if isinstance(item, Tell)]
    assert losses[-1] <= 0.4 < min(losses[:-1], default=1.0)
    assert len(losses) < 12


def test_a_run_whose_time_is_up_ends_with_what_there_is() -> None:
    plan = make_plan(n_trials=12, run_timeout=60.0)
    events = iter([None] * 30 + [TimeIsUp()])
    run = follow(plan, ChainAlgorithm(12), lambda _: 0, wish=lambda: next(events, None))
    ended = len(run.outcomes())
    assert 0 < ended < 12
    message = f"The time is up: run_timeout is 60 s. {ended} of 12 trials had ended."
    assert run.stop == Stop(failed=False, message=message)


def test_trials_that_wait_for_a_slower_one_count_when_the_time_is_up() -> None:
    plan = make_plan(n_trials=12, n_parallel=4, replicates=1, run_timeout=60.0)
    events = iter([None] * 11 + [TimeIsUp()])
    run = follow(plan, ChainAlgorithm(12), lambda count: count - 1, wish=lambda: next(events, None))
    assert not any(isinstance(item, Tell) for item in run.instructions)
    message = "The time is up: run_timeout is 60 s. 3 of 12 trials had ended."
    assert sorted(run.outcomes()) == [1, 2, 3]
    assert run.stop == Stop(failed=False, message=message)


def test_a_run_whose_patience_ends_without_a_result_has_failed() -> None:
    plan = make_plan(n_trials=12, patience=3)
    run = follow(plan, ChainAlgorithm(12), lambda _: 0, share_failing=1.0)
    assert isinstance(run.stop, Stop)
    assert run.stop.failed
    assert "patience is 3" in run.stop.message


@pytest.mark.parametrize(
    "limits",
    [
        {"run_timeout": 0.0},
        {"patience": 0},
        {"max_cost": 0.0, "slot_price": 1.0},
        {"max_cost": 1.0},
        {"target_loss": float("nan")},
        {"slot_price": -1.0},
    ],
)
def test_limits_that_make_no_sense_are_refused(limits: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(limits))):
        Limits(**limits)
