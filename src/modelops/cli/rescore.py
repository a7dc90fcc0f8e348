"""`mops adaptive rescore`: another loss for a run's trials, without a simulation."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelops.cli.options import Options
from modelops.cli.output import print_json, print_table, say
from modelops.cli.run_results import RunId, shown
from modelops.core.errors import NotThereError, RunFailedError

if TYPE_CHECKING:
    from modelops.analysis.known_run import KnownRun
    from modelops.analysis.rescoring import Rescored


def rescore(
    ctx: typer.Context,
    targets: Annotated[
        Path,
        typer.Option(
            "--targets", help="A Python file with functions marked @target.", metavar="FILE"
        ),
    ],
    run_id: RunId = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Write all trials, with both losses, as Parquet.", metavar="FILE"
        ),
    ] = None,
    top: Annotated[int, typer.Option(help="How many of the best trials to print.", min=1)] = 10,
) -> None:
    """Compute another loss of a run's trials, from their stored outputs; nothing is simulated.

    The targets of FILE, all of them, take the place of the run's. Their data files are relative to
    FILE; their code runs in a child, in the environment of the run's bundle. The run stays as it
    is. Trials whose outputs aren't stored any more are named.
    """
    from modelops.analysis import rescoring
    from modelops.analysis.target_file import TargetFile
    from modelops.cli.known_run import named_run
    from modelops.cli.written import check_output, warn_if_packed, write_parquet

    options: Options = ctx.obj
    check_output(output)
    file = TargetFile.read(targets)
    with named_run(options, run_id) as named, named.code() as code:
        run = named.run
        rescored = rescoring.rescore(run, named.outputs(code), lambda: file.evaluator(code))
    best = rescoring.best_first(rescored)
    if output is not None:
        write_parquet(rescoring.rescored_table(run, rescored), output)
    pruned = [item.record.trial.number for item in rescored if item.outcome is None]
    failed = [item for item in rescored if item.outcome is not None and item.loss is None]
    if options.json:
        print_json(
            {
                "run_id": run.run_id,
                "targets": list(file.targets),
                "rescored": len(best),
                "pruned": pruned,
                "failed": [_failure_json(item) for item in failed],
                "best": [_trial_json(item) for item in best[:top]],
            }
        )
    elif best:
        _print_best(run, best[:top])
    _say_what_lacks(options, run, pruned, failed)
    if output is not None:
        say(options, f"{len(rescored)} trials written to {output}")
        warn_if_packed(options, named.chain, output)
    if not best:
        _refuse(run, rescored, failed)


def _print_best(run: "KnownRun", best: "Sequence[Rescored]") -> None:
    names = list(run.plan.space.parameters)
    rows = []
    for item in best:
        params = item.record.trial.parameters.params
        old = item.record.outcome.loss if item.record.outcome else None
        rows.append(
            (
                str(item.record.trial.number),
                shown(item.loss),
                "" if old is None else shown(old),
                *(shown(params[name]) for name in names),
            )
        )
    print_table(("trial", "new loss", "old loss", *names), rows)


def _say_what_lacks(
    options: Options, run: "KnownRun", pruned: Sequence[int], failed: "Sequence[Rescored]"
) -> None:
    from modelops.analysis.stored_outputs import number_words

    if pruned:
        kept = "" if run.plan.execution.keep_outputs else " (the run has keepOutputs: false)"
        say(
            options,
            f"{len(pruned)} trials have no stored outputs{kept}, and so no new loss: "
            f"{number_words(pruned)}",
        )
    if failed:
        numbers = number_words(item.record.trial.number for item in failed)
        say(options, f"The targets failed for {len(failed)} trials: {numbers}")
        say(options, f"The first: {_failure_json(failed[0])['message']}")


def _refuse(run: "KnownRun", rescored: "Sequence[Rescored]", failed: "Sequence[Rescored]") -> None:
    if failed:
        details = failed[0].outcome.failure if failed[0].outcome else None
        raise RunFailedError(
            f"The targets gave no loss for any trial of {run.run_id}.",
            hint=details.details if details else "",
        )
    if rescored:
        raise NotThereError(
            f"No outputs of {run.run_id} are stored, so there's nothing to score.",
            hint="They are kept unless execution.keepOutputs is false, until they are pruned; "
            f"to simulate a trial again: mops adaptive replay --run-id {run.run_id} --trial N",
        )
    raise RunFailedError(
        f"No trial of {run.run_id} has completed.",
        hint=f"See why: mops adaptive logs --run-id {run.run_id}",
    )


def _trial_json(item: "Rescored") -> dict[str, Any]:
    outcome = item.record.outcome
    return {
        "trial": item.record.trial.number,
        "params": dict(item.record.trial.parameters.params),
        "old_loss": outcome.loss if outcome else None,
        "new_loss": item.loss,
        "new_parts": dict(item.outcome.parts) if item.outcome else {},
    }


def _failure_json(item: "Rescored") -> dict[str, Any]:
    failure = item.outcome.failure if item.outcome else None
    return {
        "trial": item.record.trial.number,
        "reason": failure.reason.value if failure else "",
        "message": failure.message if failure else "",
    }
