"""Another loss for trials that were simulated already: nothing is simulated."""

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from modelops.analysis.known_run import KnownRun, is_completed
from modelops.analysis.stored_outputs import StoredOutputs
from modelops.contracts import TrialStatus
from modelops.runner.evaluation import FULL_BYTES
from modelops.runner.records import TrialRecord
from modelops.runner.results import results_table
from modelops.worker.bundle_evaluator import BundleEvaluator
from modelops.worker.messages import EvaluationOutcome

_BATCH = 32
"""How many trials a child evaluates before somebody else reads from the store."""
_TRIALS_A_CHILD = 100
"""A child's start takes as long as the evaluation of some hundred trials."""
_MOST_CHILDREN = 16


@dataclass(frozen=True)
class Rescored:
    """A trial and what its outputs are worth now.

    Attributes:
        record: the trial, with its old loss.
        outcome: the new loss, or why there is none; None if its outputs aren't stored.
    """

    record: TrialRecord
    outcome: EvaluationOutcome | None

    @property
    def loss(self) -> float | None:
        """The new loss, if there is one."""
        if self.outcome is None or self.outcome.failure is not None:
            return None
        return self.outcome.loss


def rescore(
    run: KnownRun, outputs: StoredOutputs, evaluator: Callable[[], BundleEvaluator]
) -> list[Rescored]:
    """Evaluate the trials of a run anew, in parallel children, from what is stored.

    These are the trials that completed, whether or not their outputs are stored still, and those
    which failed though each of their simulations has stored outputs: their targets failed.

    Args:
        run: whose trials.
        outputs: where their outputs are.
        evaluator: makes what evaluates; it's called once for each child.

    Returns:
        The trials by number.
    """
    records = [record for record in run.records if _may_have_outputs(record)]
    batches = [records[at : at + _BATCH] for at in range(0, len(records), _BATCH)]
    reading = threading.Lock()
    free: SimpleQueue[BundleEvaluator] = SimpleQueue()
    count = children_for(len(records))
    found: list[Rescored] = []
    with ThreadPoolExecutor(count, "rescore") as threads, ExitStack() as children:
        # The children end first, also when we're interrupted: so do the threads that wait for them.
        for _ in range(count):
            free.put(children.enter_context(closing(evaluator())))

        def rescored(batch: Sequence[TrialRecord]) -> list[Rescored]:
            child = free.get()
            try:
                return list(_evaluated(batch, outputs, child, reading))
            finally:
                free.put(child)

        for part in threads.map(rescored, batches):
            found += part
    return [item for item in found if item.outcome is not None or is_completed(item.record)]


def children_for(trials: int) -> int:
    """Return how many children are worth their start."""
    return max(1, min(os.cpu_count() or 1, _MOST_CHILDREN, -(-trials // _TRIALS_A_CHILD)))


def rescored_table(run: KnownRun, rescored: Sequence[Rescored]) -> pa.Table:
    """Return the trials with both losses, one row a trial.

    As in the results, but that the run's own loss is `old_loss` and its parts `old_part.{target}`;
    the new ones are `new_loss` and `new_part.{target}`, null where there's none, and `new_status`
    is `completed`, `failed` or `pruned`, with a `new_message` that says why.
    """
    records = [item.record for item in rescored]
    results = results_table(run.run_id, run.plan, records)
    first = results.filter(pc.equal(results.column("replicate"), 0))
    kept = [
        name
        for name in first.column_names
        if name in ("trial", "loss", "param_id") or name.startswith(("param.", "part."))
    ]
    table = first.select(kept)
    table = table.rename_columns(
        [f"old_{name}" if name == "loss" or name.startswith("part.") else name for name in kept]
    )
    columns: dict[str, pa.Array] = {
        "new_loss": pa.array([item.loss for item in rescored], pa.float64())
    }
    parts = [_parts(item) for item in rescored]
    for target in sorted({name for part in parts for name in part}):
        columns[f"new_part.{target}"] = pa.array([part.get(target) for part in parts], pa.float64())
    told = [_told(item) for item in rescored]
    columns["new_status"] = pa.array([status for status, _ in told], pa.string())
    columns["new_message"] = pa.array([message for _, message in told], pa.string())
    for name, column in columns.items():
        table = table.append_column(name, column)
    return table


def _may_have_outputs(record: TrialRecord) -> bool:
    # One that took too long has no outputs of at least one replicate.
    return record.outcome is not None and record.outcome.status is not TrialStatus.TIMEOUT


def _evaluated(
    batch: Sequence[TrialRecord],
    outputs: StoredOutputs,
    child: BundleEvaluator,
    reading: threading.Lock,
) -> Iterator[Rescored]:
    waiting = list(batch)
    while waiting:
        taken: list[tuple[TrialRecord, list[dict[str, bytes]] | None]] = []
        size = 0
        with reading:
            while waiting and size < FULL_BYTES:
                record = waiting.pop(0)
                found = outputs.of_trial(record.trial)
                tables = None if found is None else [dict(item.tables) for item in found]
                taken.append((record, tables))
                size += sum(len(data) for each in tables or () for data in each.values())
        evaluated = iter(child.evaluate([tables for _, tables in taken if tables is not None]))
        for record, tables in taken:
            yield Rescored(record, None if tables is None else next(evaluated))


def _parts(item: Rescored) -> Mapping[str, float]:
    return {} if item.outcome is None else item.outcome.parts


def _told(item: Rescored) -> tuple[str, str | None]:
    if item.outcome is None:
        return "pruned", "its outputs aren't stored any more"
    if item.outcome.failure is not None:
        return "failed", item.outcome.failure.message
    return "completed", None


def best_first(rescored: Sequence[Rescored]) -> list[Rescored]:
    """Return the trials that have a new loss, the smallest first."""
    losses: list[tuple[float, int, Any]] = [
        (item.loss, item.record.trial.number, item) for item in rescored if item.loss is not None
    ]
    return [item for _, _, item in sorted(losses, key=lambda entry: entry[:2])]
