"""`mops adaptive replay`: whether a trial's simulations give the same again."""

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelops.cli.options import Options
from modelops.cli.output import print_data, print_json, print_table, say
from modelops.cli.run_results import RunId

if TYPE_CHECKING:
    from modelops.analysis.replaying import Replay, ReplayedSimulation
    from modelops.runner.records import TrialOutcome

_MAX_DIFFERENCES = 5


def replay(
    ctx: typer.Context,
    trial: Annotated[int, typer.Option("--trial", help="Which trial.", metavar="N", min=0)],
    run_id: RunId = None,
) -> None:
    """Run a trial's simulations again and compare their outputs with the stored ones.

    They run on the workspace's workers with the run's code, parameters, seeds and limits; nothing
    is taken from the result store and nothing written to it. Exit codes: 0 all is the same, 1
    something differs.
    """
    from modelops.analysis.replaying import replay as replay_trial
    from modelops.cli.known_run import named_run
    from modelops.cli.workers import fresh_service

    options: Options = ctx.obj
    with named_run(options, run_id) as named:
        # A number that isn't there is told before anybody waits for workers.
        named.run.record(trial)
        with named.code() as code, fresh_service(named.chain, named.run.plan) as service:
            found = replay_trial(named.run, trial, code, named.outputs(code), service)
    if options.json:
        print_json(_replay_json(named.run.run_id, found))
    else:
        _print_replay(found)
    say(options, _conclusion(found))
    if not found.is_same:
        sys.exit(1)


def _print_replay(found: "Replay") -> None:
    print_table(
        ("replicate", "seed", "outputs", "hash"),
        [
            (
                str(item.replicate),
                str(item.seed),
                item.verdict.value,
                (item.hash or item.stored_hash or "")[:16],
            )
            for item in found.simulations
        ],
    )
    for item in found.simulations:
        for line in _lines(item):
            print_data(line)
    before, now = _end_words(found.record.outcome), _end_words(found.outcome)
    print_data(f"{before}, the same again" if found.is_same_end else f"{before} before, now {now}")


def _lines(item: "ReplayedSimulation") -> list[str]:
    from modelops.cli.check_report import field_words, value_words

    lines = [
        f"replicate {item.replicate}: {field_words(difference)}: {value_words(difference)}"
        for difference in item.differences[:_MAX_DIFFERENCES]
    ]
    if len(item.differences) > _MAX_DIFFERENCES:
        left = len(item.differences) - _MAX_DIFFERENCES
        lines.append(f"replicate {item.replicate}: … and {left} more fields (--json shows them)")
    if item.failure is not None and not item.differences:
        lines.append(f"replicate {item.replicate}: {item.failure.message}")
    return lines


def _end_words(outcome: "TrialOutcome | None") -> str:
    if outcome is None:
        return "no end"
    if outcome.loss is not None:
        return f"loss {outcome.loss!r}"
    return f"{outcome.status.value} ({outcome.reason})"


def _conclusion(found: "Replay") -> str:
    from modelops.analysis.replaying import Verdict

    number = found.record.trial.number
    verdicts = [item.verdict for item in found.simulations]
    if found.is_same and all(verdict is Verdict.SAME for verdict in verdicts):
        return f"Trial {number} gave the same again, bit for bit."
    if found.is_same and found.outcome.loss is None and Verdict.NOT_STORED not in verdicts:
        return f"Trial {number} failed again, for the same reason."
    if found.is_same:
        return (
            f"Trial {number} ended the same again. Not all of its outputs are stored, so not all "
            "could be compared."
        )
    if Verdict.DIFFERENT in verdicts:
        return (
            f"Trial {number} gave something else. Either the model isn't a function of its "
            "parameters and seed, which `mops bundle check` finds out, or the workers have other "
            "packages than they had."
        )
    return f"Trial {number} ended in another way."


def _replay_json(run_id: str, found: "Replay") -> dict[str, Any]:
    return {
        "run_id": run_id,
        "trial": found.record.trial.number,
        "params": dict(found.record.trial.parameters.params),
        "same": found.is_same,
        "before": _outcome_json(found.record.outcome),
        "now": _outcome_json(found.outcome),
        "replicates": [
            {
                "replicate": item.replicate,
                "seed": item.seed,
                "outputs": item.verdict.value,
                "stored_hash": item.stored_hash,
                "hash": item.hash,
                "differences": [difference.to_json() for difference in item.differences],
                "failure": item.failure.message if item.failure else None,
            }
            for item in found.simulations
        ],
    }


def _outcome_json(outcome: "TrialOutcome | None") -> dict[str, Any]:
    if outcome is None:
        return {}
    return {
        "status": outcome.status.value,
        "loss": outcome.loss,
        "parts": dict(outcome.parts),
        "reason": outcome.reason,
        "message": outcome.message,
    }
