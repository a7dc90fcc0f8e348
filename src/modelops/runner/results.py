"""A run's results as one Parquet file in the object store, `runs/{run_id}/trials.parquet`.

One row a trial, by number. Parameters are the columns `param.{name}`, the targets' own losses
`part.{target}`; the dot keeps them apart from `param_id` and the rest. The schema's metadata holds
the run: `modelops.run_id`, `modelops.plan` (JSON), `modelops.bundle` (digest) and
`modelops.versions` (JSON).
"""

import io
import json
import os
import platform
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem

from modelops.contracts import RunPlan, Scalar, canonical_json
from modelops.core.errors import NotThereError
from modelops.runner.records import TrialRecord

_INT64 = range(-(2**63), 2**63)
_PACKAGES = ("modelops", "numpy", "optuna", "pyarrow")


def write_results(
    object_store_url: str, run_id: str, plan: RunPlan, records: Iterable[TrialRecord]
) -> str:
    """Write the results of a run and return their URL. The file appears whole or not at all."""
    table = results_table(run_id, plan, list(records))
    url = results_url(object_store_url, run_id)
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    _put(url, buffer.getvalue())
    return url


def read_results(object_store_url: str, run_id: str) -> pa.Table:
    """Read the results of a run.

    Raises:
        NotThereError: if there are none.
    """
    url = results_url(object_store_url, run_id)
    try:
        with fsspec.open(url, "rb") as file:
            return pq.read_table(io.BytesIO(file.read()))
    except FileNotFoundError:
        raise NotThereError(
            f"Run {run_id!r} has no results at {url}.",
            hint="They are written when the run ends: mops adaptive status",
        ) from None


def has_results(object_store_url: str, run_id: str) -> bool:
    """Return whether a run's results are in the object store."""
    filesystem, path = fsspec.core.url_to_fs(results_url(object_store_url, run_id))
    return bool(filesystem.exists(path))


def results_url(object_store_url: str, run_id: str) -> str:
    """Return where a run's results are."""
    return f"{object_store_url.rstrip('/')}/runs/{run_id}/trials.parquet"


def results_table(run_id: str, plan: RunPlan, records: Sequence[TrialRecord]) -> pa.Table:
    """Return the results as a table; trials under way have the status `asked`."""
    outcomes = [record.outcome for record in records]
    trials = [record.trial for record in records]
    columns: dict[str, pa.Array] = {
        "trial": pa.array([trial.number for trial in trials], pa.int64()),
        "param_id": pa.array([trial.parameters.param_id for trial in trials], pa.string()),
        "seeds": pa.array([trial.seeds for trial in trials], pa.list_(pa.uint64())),
        "status": pa.array([item.status.value if item else "asked" for item in outcomes]),
        "loss": pa.array([item.loss if item else None for item in outcomes], pa.float64()),
    }
    for name in plan.space.parameters:
        values = [trial.parameters.params[name] for trial in trials]
        columns[f"param.{name}"] = _parameter_column(values)
    for target in sorted({name for item in outcomes if item for name in item.parts}):
        parts = [item.parts.get(target) if item else None for item in outcomes]
        columns[f"part.{target}"] = pa.array(parts, pa.float64())
    for name in ("reason", "message"):
        texts = [getattr(item, name) or None if item else None for item in outcomes]
        columns[name] = pa.array(texts, pa.string())
    seconds = [item.seconds if item else None for item in outcomes]
    columns["seconds"] = pa.array(seconds, pa.float64())
    return pa.table(columns).replace_schema_metadata(_metadata(run_id, plan))


def _metadata(run_id: str, plan: RunPlan) -> dict[str, str]:
    versions = {"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}}
    return {
        "modelops.run_id": run_id,
        "modelops.plan": json.dumps(plan.to_json(), sort_keys=True),
        "modelops.bundle": plan.bundle_ref.digest,
        "modelops.versions": json.dumps(versions, sort_keys=True),
    }


def _parameter_column(values: Sequence[Scalar]) -> pa.Array:
    """A column of the values' own type; where types are mixed, each value as JSON."""
    kinds = {type(value) for value in values}
    if kinds == {int} and all(value in _INT64 for value in values):
        return pa.array(values, pa.int64())
    for kind, arrow in ((bool, pa.bool_()), (float, pa.float64()), (str, pa.string())):
        if kinds == {kind}:
            return pa.array(values, arrow)
    return pa.array([canonical_json(value).decode() for value in values], pa.string())


def _put(url: str, data: bytes) -> None:
    filesystem, path = fsspec.core.url_to_fs(url)
    if not isinstance(filesystem, LocalFileSystem):
        # An object store shows an object once all of it is there.
        filesystem.makedirs(path.rpartition("/")[0], exist_ok=True)
        filesystem.pipe_file(path, data)
        return
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    new = target.with_name(f".{target.name}.{os.getpid()}")
    with new.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    new.replace(target)
