"""What targets make of a trial: the observed and the simulated number of each point.

It runs in a child, which calls it as it calls a model, since targets are a bundle's code. What it
needs is in a folder, which `write_request` writes:

    targets.json                          {target id: `module:function`}
    {replicate}/{number of the table}     an Arrow IPC stream
    tables.json                           for each replicate the names of its tables, in order
"""

import json
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import pyarrow as pa

from modelops.calibration import Target
from modelops.calibration.synthetic import on_observed_scale
from modelops.core.errors import CalibrationError
from modelops.worker.outputs import from_ipc

FN_REF = "modelops.worker.target_points:target_points"
KEY, OBSERVED, REPLICATE = "key.", "observed", "replicate."
"""The columns: a key's name after its prefix, the observed numbers, a replicate's number."""


def write_request(
    folder: Path, targets: Mapping[str, str], replicates: Sequence[Mapping[str, bytes]]
) -> None:
    """Write what `target_points` is to compute into a folder that is empty.

    Args:
        folder: where.
        targets: target id → `module:function`.
        replicates: the tables of each simulation, name → Arrow IPC stream.
    """
    (folder / "targets.json").write_text(json.dumps(dict(targets)), encoding="utf-8")
    names = [list(tables) for tables in replicates]
    (folder / "tables.json").write_text(json.dumps(names), encoding="utf-8")
    for replicate, tables in enumerate(replicates):
        (folder / str(replicate)).mkdir()
        for number, data in enumerate(tables.values()):
            (folder / str(replicate) / str(number)).write_bytes(data)


def target_points(params: Mapping[str, Any], seed: int) -> dict[str, pa.Table]:
    """Return a table for each target: its keys, the observed numbers, and each replicate's.

    Args:
        params: `folder` is where the request is.
        seed: of no use.
    """
    del seed
    folder = Path(params["folder"])
    targets = json.loads((folder / "targets.json").read_text(encoding="utf-8"))
    names = json.loads((folder / "tables.json").read_text(encoding="utf-8"))
    replicates = [
        {
            name: from_ipc((folder / str(replicate) / str(number)).read_bytes())
            for number, name in enumerate(of_replicate)
        }
        for replicate, of_replicate in enumerate(names)
    ]
    return {name: _points(name, fn_ref, replicates) for name, fn_ref in targets.items()}


def _points(name: str, fn_ref: str, replicates: Sequence[Mapping[str, pa.Table]]) -> pa.Table:
    module, _, function = fn_ref.partition(":")
    made: Any = import_module(module)
    for part in function.split("."):
        made = getattr(made, part)
    target = made()
    if not isinstance(target, Target):
        raise CalibrationError(f"{fn_ref} returned a {type(target).__name__}, not a Target")
    for number, tables in enumerate(replicates):
        if target.table not in tables:
            raise CalibrationError(f"replicate {number} has no table {target.table!r} for {name!r}")
    simulated = [tables[target.table] for tables in replicates]
    aligned = target.align(simulated)
    columns: dict[str, Any] = {}
    if target.data.num_rows == len(aligned.observed):
        # There is an aligned point for each observed one, in order.
        columns = {f"{KEY}{key}": target.data.column(key) for key in target.on}
    columns[OBSERVED] = aligned.observed
    for number, values in enumerate(on_observed_scale(target, aligned)):
        columns[f"{REPLICATE}{number}"] = values
    return pa.table(columns)
