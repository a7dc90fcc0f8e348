"""Two runs side by side: what of their plans differs, and from which trial on they do."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from modelops.analysis.known_run import KnownRun, is_completed
from modelops.contracts import RunPlan
from modelops.contracts.canonical import canonical_json
from modelops.runner.records import TrialRecord

_NOTHING = object()


@dataclass(frozen=True)
class PlanDifference:
    """A part of two plans that differs.

    Attributes:
        path: its names, with dots: `space.beta.high`.
        first, second: what each plan has there, as JSON; None where it has nothing.
    """

    path: str
    first: Any
    second: Any


@dataclass(frozen=True)
class FirstDifference:
    """The first trial that isn't the same in two runs.

    Attributes:
        trial: its number.
        what: `parameters`, `seeds`, `outcome`, or `missing` if one of the runs hasn't got it.
        first, second: the trial as each run has it.
    """

    trial: int
    what: str
    first: TrialRecord | None
    second: TrialRecord | None


@dataclass(frozen=True)
class RunComparison:
    """What two runs have in common, and what they don't.

    Attributes:
        plan: what of the plans differs, but for their names and where their code is.
        first_difference: where their trials part; None if they are the same.
    """

    first: KnownRun
    second: KnownRun
    plan: tuple[PlanDifference, ...]
    first_difference: FirstDifference | None

    @property
    def is_same(self) -> bool:
        """Whether plans and trials are the same."""
        return not self.plan and self.first_difference is None

    @property
    def has_same_loss(self) -> bool:
        """Whether both losses are those of the same targets of the same code."""
        paths = {item.path.partition(".")[0] for item in self.plan}
        return not paths & {"bundle_ref", "targets"}


def compare_runs(first: KnownRun, second: KnownRun) -> RunComparison:
    """Compare two runs, whatever state they are in."""
    plans = tuple(plan_differences(first.plan, second.plan))
    return RunComparison(first, second, plans, _first_difference(first, second))


def plan_differences(first: RunPlan, second: RunPlan) -> Iterator[PlanDifference]:
    """Yield what differs between two plans, by name; a bundle is what its digest says."""
    flat = [dict(_flat("", _plan_json(plan))) for plan in (first, second)]
    for path in sorted(flat[0].keys() | flat[1].keys()):
        pair = [part.get(path, _NOTHING) for part in flat]
        if _NOTHING in pair or canonical_json(pair[0]) != canonical_json(pair[1]):
            yield PlanDifference(path, *(None if item is _NOTHING else item for item in pair))


def failures_by_reason(run: KnownRun) -> dict[str, int]:
    """Return how many trials failed for each reason, the most frequent first."""
    ended = (record.outcome for record in run.records if not is_completed(record))
    counts = Counter(outcome.reason for outcome in ended if outcome is not None)
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _plan_json(plan: RunPlan) -> dict[str, Any]:
    content = {**plan.to_json(), "bundle_ref": plan.bundle_ref.digest}
    if isinstance(content["space"], Mapping):
        # A space with constraints between its parameters.
        content["constraints"] = content["space"]["constraints"]
        content["space"] = content["space"]["parameters"]
    parameters = {item["name"]: item for item in content["space"]}
    content["space"] = {
        name: {key: value for key, value in item.items() if key != "name"}
        for name, item in parameters.items()
    }
    return content


def _flat(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for name, item in value.items():
            yield from _flat(f"{path}.{name}" if path else str(name), item)
    else:
        yield path, value


def _first_difference(first: KnownRun, second: KnownRun) -> FirstDifference | None:
    runs = [{record.trial.number: record for record in run.records} for run in (first, second)]
    for number in sorted(runs[0].keys() | runs[1].keys()):
        pair = (runs[0].get(number), runs[1].get(number))
        what = _what_differs(*pair)
        if what:
            return FirstDifference(number, what, *pair)
    return None


def _what_differs(first: TrialRecord | None, second: TrialRecord | None) -> str:
    if first is None or second is None:
        return "missing"
    if first.trial.parameters.param_id != second.trial.parameters.param_id:
        return "parameters"
    if first.trial.seeds != second.trial.seeds:
        return "seeds"
    if first.outcome is None or second.outcome is None:
        return "" if first.outcome is second.outcome else "outcome"
    return "" if first.outcome.same_result(second.outcome) else "outcome"
