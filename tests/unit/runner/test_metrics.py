"""What a runner tells of its run."""

from prometheus_client import generate_latest

from modelops.contracts import TrialStatus
from modelops.runner.metrics import Observers, RunMetrics
from modelops.runner.records import TrialOutcome


def test_trials_failures_and_the_best_loss_are_counted() -> None:
    metrics = RunMetrics("fit-1", "sobol", 10)
    metrics.watch(lambda: 4, lambda: 3)
    observers = Observers([metrics])
    observers.resumed(asked=5, ended=2, restored=2)
    for loss in (3.0, 1.5, 2.0):
        observers.trial_ended(0, TrialOutcome(TrialStatus.COMPLETED, loss=loss))
    observers.trial_ended(1, TrialOutcome(TrialStatus.FAILED, reason="timeout", message="slow"))
    observers.wrote(0.004)
    lines = set(generate_latest(metrics.registry).decode().splitlines())
    assert {
        'modelops_run_info{algorithm="sobol",run_id="fit-1"} 1.0',
        "modelops_trials_planned 10.0",
        "modelops_trials_restored 2.0",
        'modelops_trials_total{outcome="completed"} 3.0',
        'modelops_trials_total{outcome="failed"} 1.0',
        'modelops_trial_failures_total{reason="timeout"} 1.0',
        "modelops_best_loss 1.5",
        "modelops_simulations_in_flight 4.0",
        "modelops_simulations_queued 3.0",
        "modelops_journal_write_seconds_count 1.0",
        'modelops_journal_write_seconds_bucket{le="0.005"} 1.0',
    } <= lines
