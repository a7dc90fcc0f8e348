"""What `mops bundle check` found, as text and as JSON."""

import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from modelops.bundles.suspects import Suspect
from modelops.cli.options import Options
from modelops.cli.output import print_data, print_json, say
from modelops.contracts import SimTask, canonical_json
from modelops.worker.comparison import Difference
from modelops.worker.conditions import AGAIN
from modelops.worker.reproducibility import Finding, Report, Verdict

_MAX_FIELDS = 5
_MAX_FILES = 5
_MAX_SUSPECTS = 8
_WIDTH = 96


def print_report(
    options: Options, report: Report, directory: Path, suspects: Sequence[Suspect]
) -> None:
    """Print a line for each condition, and below it what differs, why, and where to look."""
    if options.json:
        print_json(_report_json(report, suspects))
    else:
        _print_verdicts(report, suspects)
    for line in _notes(report):
        say(options, line)
    say(options, _conclusion(report, directory))


def _print_verdicts(report: Report, suspects: Sequence[Suspect]) -> None:
    width = max((len(verdict.condition.name) for verdict in report.verdicts), default=0)
    is_by_chance = any(item.findings for item in report.verdicts if item.condition is AGAIN)
    explained = set()
    for verdict in report.verdicts:
        name = verdict.condition.name.ljust(width)
        if verdict.findings:
            print_data(f"{name}  differs: {verdict.findings[0].setting.words}")
            lines = list(_differences(verdict))
            # Two conditions may have one cause.
            if verdict.condition.cause not in explained:
                lines += _explanation(verdict, suspects)
                explained.add(verdict.condition.cause)
            for line in lines:
                print_data(f"  {line}")
        else:
            print_data(f"{name}  {'nothing more' if is_by_chance else 'the same'}")


def _report_json(report: Report, suspects: Sequence[Suspect]) -> dict[str, Any]:
    return {
        "same": report.is_same,
        "simulations": [_task_json(task) for task in report.compared],
        "conditions": [
            {
                "name": verdict.condition.name,
                "same": not verdict.findings,
                "cause": verdict.condition.cause if verdict.findings else None,
                "suspects": [
                    {"path": item.path, "line": item.line, "code": item.code}
                    for item in _suspects(verdict, suspects)
                ],
                "differences": [
                    {
                        **_task_json(finding.task),
                        "setting": finding.setting.words,
                        **finding.difference.to_json(),
                    }
                    for finding in verdict.findings
                ],
            }
            for verdict in report.verdicts
        ],
        "failed": [
            {**_task_json(task), "reason": failure.reason.value, "message": failure.message}
            for task, failure in report.failed
        ],
        "late": [_task_json(task) for task in report.late],
        "touched": list(report.touched),
    }


def _task_json(task: SimTask) -> dict[str, Any]:
    return {"params": dict(task.params), "seed": task.seed}


def _suspects(verdict: Verdict, suspects: Sequence[Suspect]) -> list[Suspect]:
    """Return where to look for what a verdict found; a line that has two sources is there once."""
    if not verdict.findings:
        return []
    fitting = [item for item in suspects if item.source in verdict.condition.sources]
    return list({(item.path, item.line): item for item in fitting}.values())


def _differences(verdict: Verdict) -> Iterator[str]:
    """Yield two lines for each field that differs: its values, and in which simulation."""
    fields: dict[str, list[Finding]] = {}
    for finding in verdict.findings:
        fields.setdefault(field_words(finding.difference), []).append(finding)
    for field, (first, *others) in list(fields.items())[:_MAX_FIELDS]:
        yield f"{field}: {value_words(first.difference)}"
        yield f"  with {_task_words(first.task)}{', and others' * bool(others)}"
    if len(fields) > _MAX_FIELDS:
        yield f"… and {len(fields) - _MAX_FIELDS} more fields (--json shows them)"


def _explanation(verdict: Verdict, suspects: Sequence[Suspect]) -> Iterator[str]:
    yield from textwrap.wrap(verdict.condition.cause, _WIDTH)
    fitting = _suspects(verdict, suspects)
    if fitting:
        yield "Look at:"
    for item in fitting[:_MAX_SUSPECTS]:
        yield f"  {item.path}:{item.line}: {item.code}"
    if len(fitting) > _MAX_SUSPECTS:
        yield f"  … and {len(fitting) - _MAX_SUSPECTS} more places (--json shows them)"


def field_words(difference: Difference) -> str:
    """Return which field of an outcome differs, in words."""
    if difference.table is None:
        return "the outcome"
    if difference.column is None:
        return f"table {difference.table!r}"
    return f"table {difference.table!r}, column {difference.column!r}"


def value_words(difference: Difference) -> str:
    """Return how a field differs, in words."""
    change = f"{difference.found} instead of {difference.expected}"
    if difference.row is None:
        return change
    parts = [change]
    if difference.n_rows > 1:
        rows = f"{difference.n_differing} of {difference.n_rows} rows differ"
        parts = [f"{rows}, the first is row {difference.row}: {change}"]
    if difference.largest_absolute is not None:
        parts.append(
            f"the largest difference is {difference.largest_absolute:.3g}, relative "
            f"{difference.largest_relative:.3g}"
        )
        if difference.largest_absolute == 0:
            parts.append("0.0 and -0.0 have other bits")
    if difference.is_reordered:
        parts.append("the same values in another order")
    return "; ".join(parts)


def _task_words(task: SimTask) -> str:
    return f"{canonical_json(task.params).decode()} and seed {task.seed}"


def _notes(report: Report) -> Iterator[str]:
    for task, failure in report.failed:
        yield f"It fails with {_task_words(task)}: {failure.message}"
    for task in report.late:
        yield f"It takes too long with {_task_words(task)}: that isn't compared (--timeout)."
    if report.touched:
        yield f"It writes into its own directory: {_listed(report.touched)}"


def _conclusion(report: Report, directory: Path) -> str:
    if not report.has_result:
        return f"Nothing could be compared: no simulation of {directory} gave a result."
    if report.is_same:
        number = len(report.compared)
        return (
            f"{number} simulation{'s' * (number > 1)} gave the same under every condition: the "
            "model is a function of (params, seed), as far as this can tell."
        )
    names = [verdict.condition.name for verdict in report.verdicts if verdict.findings]
    return (
        f"The model isn't a function of (params, seed): of {len(report.verdicts)} conditions, "
        f"these make a difference: {', '.join(names)}."
    )


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_MAX_FILES])
    return f"{shown}, …" if len(names) > _MAX_FILES else shown
