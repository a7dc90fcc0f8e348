"""`mops adaptive compare`: two runs side by side."""

import json
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelops.cli.options import Options
from modelops.cli.output import print_data, print_json, print_table, say
from modelops.cli.run_results import shown

if TYPE_CHECKING:
    from modelops.analysis.known_run import KnownRun
    from modelops.analysis.run_comparison import FirstDifference, RunComparison
    from modelops.runner.records import TrialRecord


def compare(
    ctx: typer.Context,
    first: Annotated[str, typer.Argument(help="A run-id.", metavar="RUN")],
    second: Annotated[str, typer.Argument(help="Another one.", metavar="RUN")],
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit with 3 if they differ.")
    ] = False,
) -> None:
    """Compare two runs: their plans, best trials, failures, and from which trial on they differ."""
    from modelops.analysis.run_comparison import compare_runs
    from modelops.cli.known_run import read_run
    from modelops.cli.session import open_chain

    options: Options = ctx.obj
    chain = open_chain(options)
    found = compare_runs(*(read_run(chain, run_id)[0] for run_id in (first, second)))
    if options.json:
        print_json(_comparison_json(found))
    else:
        _print_comparison(found)
    if not found.has_same_loss:
        say(
            options,
            "Their losses are of different code or targets. One loss for both: "
            "mops adaptive rescore --targets FILE",
        )
    if exit_code and not found.is_same:
        sys.exit(3)


def _print_comparison(found: "RunComparison") -> None:
    if found.plan:
        print_table(
            ("plan", "first", "second"),
            [(item.path, _value(item.first), _value(item.second)) for item in found.plan],
        )
    else:
        print_data("Their plans are the same.")
    print_data("")
    columns = [_summary(run) for run in (found.first, found.second)]
    rows = list(dict.fromkeys(name for column in columns for name in column))
    table = [(name, *(column.get(name, "") for column in columns)) for name in rows]
    print_table(("", "first", "second"), table)
    print_data("")
    print_data(_where_words(found))


def _summary(run: "KnownRun") -> dict[str, str]:
    from modelops.analysis.known_run import loss_of
    from modelops.analysis.run_comparison import failures_by_reason

    ended = [record for record in run.records if record.outcome is not None]
    summary = {
        "run": run.run_id,
        "trials": f"{len(ended)}/{run.plan.n_trials}",
        "completed": str(len(run.completed)),
    }
    for reason, count in failures_by_reason(run).items():
        summary[f"failed: {reason}"] = str(count)
    if run.best:
        best = run.best[0]
        summary["best loss"] = shown(loss_of(best))
        summary["best trial"] = str(best.trial.number)
        for name, value in best.trial.parameters.params.items():
            summary[f"its {name}"] = shown(value)
    return summary


def _where_words(found: "RunComparison") -> str:
    where = found.first_difference
    if where is None:
        return f"Their {len(found.first.records)} trials are the same."
    if where.what == "missing":
        other = found.second if where.first is not None else found.first
        return f"They are the same up to trial {where.trial}, which {other.run_id} hasn't got."
    before = f"Their first {where.trial} trials are the same. " if where.trial else ""
    return f"{before}Trial {where.trial} differs in its {where.what}: {_pair_words(where)}."


def _pair_words(where: "FirstDifference") -> str:
    def words(record: "TrialRecord | None") -> str:
        if record is None:
            return "nothing"
        match where.what:
            case "parameters":
                params = record.trial.parameters.params
                return ", ".join(f"{name}={shown(value)}" for name, value in params.items())
            case "seeds":
                return str(list(record.trial.seeds))
            case _:
                return _outcome_words(record)

    return f"{words(where.first)} and {words(where.second)}"


def _outcome_words(record: "TrialRecord") -> str:
    if record.outcome is None:
        return "under way"
    if record.outcome.loss is not None:
        return f"loss {record.outcome.loss!r}"
    return f"{record.outcome.status.value} ({record.outcome.reason})"


def _value(value: Any) -> str:
    return "" if value is None else value if isinstance(value, str) else json.dumps(value)


def _comparison_json(found: "RunComparison") -> dict[str, Any]:
    where = found.first_difference
    return {
        "same": found.is_same,
        "plan": [
            {"path": item.path, "first": item.first, "second": item.second} for item in found.plan
        ],
        "first": _run_json(found.first),
        "second": _run_json(found.second),
        "first_difference": None
        if where is None
        else {
            "trial": where.trial,
            "what": where.what,
            "first": _trial_json(where.first),
            "second": _trial_json(where.second),
        },
    }


def _run_json(run: "KnownRun") -> dict[str, Any]:
    from modelops.analysis.run_comparison import failures_by_reason

    return {
        "run_id": run.run_id,
        "n_trials": run.plan.n_trials,
        "ended": sum(record.outcome is not None for record in run.records),
        "completed": len(run.completed),
        "failures": failures_by_reason(run),
        "best": _trial_json(run.best[0]) if run.best else None,
    }


def _trial_json(record: "TrialRecord | None") -> dict[str, Any] | None:
    if record is None:
        return None
    outcome = record.outcome
    return {
        "trial": record.trial.number,
        "params": dict(record.trial.parameters.params),
        "seeds": list(record.trial.seeds),
        "status": "asked" if outcome is None else outcome.status.value,
        "loss": None if outcome is None else outcome.loss,
        "parts": {} if outcome is None else dict(outcome.parts),
        "reason": "" if outcome is None else outcome.reason,
    }
