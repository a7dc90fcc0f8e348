"""What to tell a user of a run: what has become of it, and what to do next."""

from collections.abc import Collection

from modelops.cli.runs import INTERRUPTED, list_runs, run_states
from modelops.core.errors import RunFailedError
from modelops.infra.chain import StackChain
from modelops.runner.progress import RunProgress, RunState, RunSummary

_NEXT = {
    RunState.RUNNING: "Follow it with: mops adaptive status --watch --run-id {run_id}",
    RunState.PAUSING: "It goes on with: mops adaptive resume --run-id {run_id}",
    RunState.PAUSED: "It goes on with: mops adaptive resume --run-id {run_id}",
    RunState.CANCELLING: "See: mops adaptive status --run-id {run_id}",
    RunState.CANCELLED: "Open it again with: mops adaptive resume --run-id {run_id}",
    RunState.FINISHED: "See: mops adaptive results --run-id {run_id}",
    RunState.FAILED: (
        "See: mops adaptive logs --run-id {run_id}\n"
        "Once the cause is gone, go on with: mops adaptive resume --run-id {run_id}"
    ),
    INTERRUPTED: "Go on from its journal with: mops adaptive resume --run-id {run_id}",
}
_FAILED_FOR_GOOD = (
    "See: mops adaptive logs --run-id {run_id}\n"
    "Another start would end in the same way. Mend the model or the limits: "
    "mops adaptive up {algorithm} then starts a new run."
)


def next_step(run: RunSummary, state: str) -> str:
    """Return what to do with a run that is in a state."""
    for_good = state == RunState.FAILED and run.is_settled
    text = _FAILED_FOR_GOOD if for_good else _NEXT[state]
    return text.format(run_id=run.run_id, algorithm=run.algorithm)


def what_became(run: RunSummary, state: str) -> str:
    """Return in a line or two what a run is doing, with what to do next."""
    if state == RunState.RUNNING:
        return next_step(run, state)
    return "\n".join(filter(None, (f"{run.run_id}: {state}", run.message, next_step(run, state))))


def ended_badly(progress: RunProgress) -> RunFailedError:
    """Return the error of a run that failed or was cancelled, or whose runner is gone."""
    run_id, state = progress.run_id, progress.state
    if state is RunState.FAILED:
        message = f"The run {run_id} failed: {progress.message}"
    elif state is RunState.CANCELLED:
        message = f"The run {run_id} was cancelled."
    else:
        message = f"The runner of {run_id} is gone."
    return RunFailedError(
        message, hint=next_step(progress, state if state.has_ended else INTERRUPTED)
    )


def other_runs(chain: StackChain, but: Collection[str]) -> list[str]:
    """Return a line for each other run of the chain's algorithms whose runner is at work."""
    algorithms = {algorithm.name for algorithm in chain.plan.algorithms}
    runs = [
        run
        for run in list_runs(chain)
        if run.algorithm in algorithms and run.run_id not in but and not run.state.has_ended
    ]
    states = run_states(chain, runs)
    return [
        f"Another run of {run.algorithm} is {states[run.run_id]}: {run.run_id}, "
        f"{run.completed + run.failed}/{run.n_trials} trials. "
        f"If you don't need it: mops adaptive cancel --run-id {run.run_id}"
        for run in runs
        if states[run.run_id] != INTERRUPTED
    ]
