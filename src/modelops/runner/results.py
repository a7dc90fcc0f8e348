"""A run's results as one Parquet file in the object store, `runs/{run_id}/results.parquet`.

One row for each replicate of each trial, in order; docs/results.md has the columns. What belongs to
a trial is the same in all of its rows. Parameters are the columns `param.{name}`, the targets' own
losses `part.{target}`; the dot keeps them apart from `param_id` and the rest. The schema's metadata
holds the run: `modelops.run_id`, `modelops.plan` (JSON), `modelops.bundle` (digest) and
`modelops.versions` (JSON).
"""

import io
import json
import platform
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from modelops.contracts import RunPlan, Scalar, canonical_json
from modelops.core.errors import NotThereError
from modelops.result_store.files import has_file, put_whole, read_file
from modelops.runner.records import Trial, TrialRecord
from modelops.services.profile import Profile

_INT64 = range(-(2**63), 2**63)
_PACKAGES = ("modelops", "numpy", "optuna", "pyarrow")


def write_results(
    object_store_url: str,
    run_id: str,
    plan: RunPlan,
    records: Iterable[TrialRecord],
    fn_ref: str | None = None,
) -> str:
    """Write the results of a run and return their URL. The file appears whole or not at all.

    Args:
        object_store_url: an fsspec URL.
        run_id: the run's.
        plan: the run's.
        records: all of its trials, by number.
        fn_ref: `module:function` of the model, for the simulations' task ids; without it they are
            left out.
    """
    table = results_table(run_id, plan, list(records), fn_ref)
    url = results_url(object_store_url, run_id)
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    put_whole(url, buffer.getvalue())
    return url


def read_results(object_store_url: str, run_id: str) -> pa.Table:
    """Read the results of a run.

    Raises:
        NotThereError: if there are none.
        ResultStoreError: if the object store can't be read.
    """
    url = results_url(object_store_url, run_id)
    data = read_file(url)
    if data is None:
        raise NotThereError(
            f"Run {run_id!r} has no results at {url}.",
            hint="They are written when the run ends: mops adaptive status",
        )
    # pq.read_table goes through datasets, which import pandas if it's there.
    return pq.ParquetFile(io.BytesIO(data)).read()


def read_trials(object_store_url: str, run_id: str) -> list[dict[str, Any]]:
    """Read the results of a run as one row a trial, by number, with its `seeds` in a list.

    Raises:
        NotThereError: if there are none.
    """
    return trial_rows(read_results(object_store_url, run_id))


def trial_rows(results: pa.Table) -> list[dict[str, Any]]:
    """Return one row for each trial of results, with the seeds of its replicates in a list."""
    of_replicates = ("replicate", "seed", "task_id")
    seeds: dict[int, list[int]] = {}
    numbers, found = (results.column(name).to_pylist() for name in ("trial", "seed"))
    for trial, seed in zip(numbers, found, strict=True):
        seeds.setdefault(trial, []).append(seed)
    first = results.filter(pc.equal(results.column("replicate"), 0)).drop_columns(of_replicates)
    return [{**row, "seeds": seeds[row["trial"]]} for row in first.to_pylist()]


def read_versions(object_store_url: str, run_id: str) -> dict[str, str]:
    """Return the versions of Python and of libraries that a run's results were written with.

    Raises:
        NotThereError: if there are none.
    """
    metadata = read_results(object_store_url, run_id).schema.metadata
    found: dict[str, str] = json.loads(metadata[b"modelops.versions"])
    return found


def write_profile(object_store_url: str, run_id: str, profile: Profile) -> None:
    """Write where the time of a run's simulations went, as JSON beside its results."""
    content = {
        "simulations": profile.count,
        "seconds": {name: asdict(part) for name, part in profile.summary().items()},
    }
    put_whole(_profile_url(object_store_url, run_id), json.dumps(content, indent=1).encode())


def read_profile(object_store_url: str, run_id: str) -> dict[str, Any]:
    """Read what `write_profile` wrote.

    Raises:
        NotThereError: if the run wasn't profiled.
        ResultStoreError: if the object store can't be read.
    """
    data = read_file(_profile_url(object_store_url, run_id))
    if data is None:
        raise NotThereError(
            f"Run {run_id!r} has no profile.",
            hint="A run has one if it's started with --profile, or with `profile: true` in the "
            "algorithm's `execution`, and has ended.",
        )
    found: dict[str, Any] = json.loads(data)
    return found


def _profile_url(object_store_url: str, run_id: str) -> str:
    return f"{object_store_url.rstrip('/')}/runs/{run_id}/profile.json"


def has_results(object_store_url: str, run_id: str) -> bool:
    """Return whether a run's results are in the object store."""
    return has_file(results_url(object_store_url, run_id))


def results_url(object_store_url: str, run_id: str) -> str:
    """Return where a run's results are."""
    return f"{object_store_url.rstrip('/')}/runs/{run_id}/results.parquet"


def results_table(
    run_id: str, plan: RunPlan, records: Sequence[TrialRecord], fn_ref: str | None = None
) -> pa.Table:
    """Return the results as a table; trials under way have the status `asked`."""
    trials = [record.trial for record in records]
    outcomes = [record.outcome for record in records]
    columns: dict[str, pa.Array] = {
        "trial": pa.array([trial.number for trial in trials], pa.int64()),
    }
    for name in plan.space.parameters:
        values = [trial.parameters.params[name] for trial in trials]
        columns[f"param.{name}"] = parameter_column(values)
    columns["loss"] = pa.array([item.loss if item else None for item in outcomes], pa.float64())
    for target in sorted({name for item in outcomes if item for name in item.parts}):
        parts = [item.parts.get(target) if item else None for item in outcomes]
        columns[f"part.{target}"] = pa.array(parts, pa.float64())
    status = [item.status.value if item else "asked" for item in outcomes]
    columns["status"] = pa.array(status, pa.string())
    for name in ("reason", "message"):
        texts = [getattr(item, name) or None if item else None for item in outcomes]
        columns[name] = pa.array(texts, pa.string())
    seconds = [item.seconds if item else None for item in outcomes]
    columns["trial_seconds"] = pa.array(seconds, pa.float64())
    ended = [record.ended_at for record in records]
    columns["ended_at"] = pa.array(ended, pa.timestamp("us", tz="UTC"))
    columns["param_id"] = pa.array([trial.parameters.param_id for trial in trials], pa.string())
    columns["bundle"] = pa.array([plan.bundle_ref.digest] * len(trials), pa.string())
    table = _by_replicate(pa.table(columns), trials)
    if fn_ref is not None:
        task_ids = [task_id for trial in trials for task_id in trial.task_ids(plan, fn_ref)]
        table = table.append_column("task_id", pa.array(task_ids, pa.string()))
    else:
        table = table.append_column("task_id", pa.nulls(table.num_rows, pa.string()))
    return table.replace_schema_metadata(_metadata(run_id, plan))


def _by_replicate(table: pa.Table, trials: Sequence[Trial]) -> pa.Table:
    """Return a table of trials with each row as often as its trial has replicates."""
    rows = [row for row, trial in enumerate(trials) for _ in trial.seeds]
    replicates = [replicate for trial in trials for replicate in range(len(trial.seeds))]
    seeds = [seed for trial in trials for seed in trial.seeds]
    repeated = table.take(pa.array(rows, pa.int64()))
    with_replicate = repeated.add_column(1, "replicate", pa.array(replicates, pa.int64()))
    at = with_replicate.column_names.index("param_id")
    return with_replicate.add_column(at, "seed", pa.array(seeds, pa.uint64()))


def _metadata(run_id: str, plan: RunPlan) -> dict[str, str]:
    versions = {"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}}
    return {
        "modelops.run_id": run_id,
        "modelops.plan": json.dumps(plan.to_json(), sort_keys=True),
        "modelops.bundle": plan.bundle_ref.digest,
        "modelops.versions": json.dumps(versions, sort_keys=True),
    }


def parameter_column(values: Sequence[Scalar]) -> pa.Array:
    """Return a column of the values' own type; where types are mixed, of each value as JSON."""
    kinds = {type(value) for value in values}
    if kinds == {int} and all(value in _INT64 for value in values):
        return pa.array(values, pa.int64())
    for kind, arrow in ((bool, pa.bool_()), (float, pa.float64()), (str, pa.string())):
        if kinds == {kind}:
            return pa.array(values, arrow)
    return pa.array([canonical_json(value).decode() for value in values], pa.string())
