"""Runs of a slowed `examples/sir` on an environment that is up in a cluster."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from kubernetes_environment import Environment

_EXAMPLE = Path(__file__).parents[2] / "examples" / "sir"
_RESULT = ("trial", "replicate", "param_id", "seed", "loss")
_NAP = "NAP = 0.5"
_SLOW = f"""

{_NAP}
"""
_MODELS = """

def slowly(params, seed):
    import time

    time.sleep(NAP)
    return simulate(params, seed)


def secretly(params, seed):
    from pathlib import Path

    factor = float(Path("/etc/modelops/secrets/factor").read_text())
    return simulate({**params, "beta": factor * params["beta"]}, seed)
"""


def write_bundle(folder: Path) -> Path:
    """Write the example, with a model that takes its time and one that reads a secret."""
    shutil.copytree(_EXAMPLE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    with (folder / "model.py").open("a") as file:
        file.write(_SLOW + _MODELS)
    registry = folder / ".modelops-bundle" / "registry.yaml"
    registered = yaml.safe_load(registry.read_text())
    for name, function in (("slow", "slowly"), ("secret", "secretly")):
        registered["models"][name] = {"path": "model.py", "entrypoint": f"model:{function}"}
    registry.write_text(yaml.safe_dump(registered))
    return folder


def algorithm(
    bundle: str | Path, model: str = "slow", n_trials: int = 60, replicates: int = 4
) -> dict[str, Any]:
    """Return the spec's part about a calibration."""
    return {
        "type": "optuna",
        "parameters": {
            "sampler": "tpe",
            "n_trials": n_trials,
            "n_parallel": min(8, n_trials),
            "replicates": replicates,
            "seed": 1,
        },
        "entrypoint": {
            "bundle": str(bundle),
            "model": model,
            "targets": ["prevalence"],
            "space": {"beta": {"low": 0.5, "high": 4.0}, "gamma": {"low": 0.15, "high": 1.0}},
        },
    }


def spec(**algorithms: Any) -> dict[str, Any]:
    """Return the spec's body, but for what is of the cluster."""
    return {
        "registry": {"class": "distribution", "auth": "htpasswd", "tls": True},
        "workerGroups": {"default": {"min": 4, "max": 4}},
        "algorithms": algorithms,
    }


def start_run(
    environment: Environment, bundle: Path, run_id: str, nap: float = 0.5, **options: Any
) -> None:
    """Start a run whose simulations are in no store yet, since its bundle is another.

    They take `nap` seconds, on which their results don't depend.
    """
    own = environment.folder / run_id
    shutil.copytree(bundle, own)
    model = own / "model.py"
    model.write_text(model.read_text().replace(_NAP, f"NAP = {nap}  # {run_id}"))
    environment.write(**spec(sir=algorithm(own, **options)))
    environment.mops("adaptive", "up", "--detach", "--run-id", run_id)


def progress(environment: Environment, run_id: str) -> dict[str, Any]:
    """Return what `mops adaptive status` says of a run."""
    told = environment.mops("adaptive", "status", "--json", "--run-id", run_id).stdout
    found: dict[str, Any] = json.loads(told)
    return found


def wait_for(
    environment: Environment, run_id: str, holds: Callable[[dict[str, Any]], bool]
) -> None:
    """Wait until something holds of a run's progress; it fails if the run does."""
    deadline = time.monotonic() + 300
    while not holds(found := progress(environment, run_id)):
        assert found["state"] not in ("failed", "cancelled"), found
        assert time.monotonic() < deadline, found
        time.sleep(2)  # each look takes a process a second


def results_of(environment: Environment, run_id: str) -> pa.Table:
    """Wait for a run's end, and return what decides whether two runs are the same."""
    wait_for(environment, run_id, lambda found: found["state"] == "finished")
    path = environment.folder / f"{run_id}.parquet"
    environment.mops("adaptive", "results", "--run-id", run_id, "--output", path)
    return rows(path)


def rows(path: Path) -> pa.Table:
    """Return what decides whether two runs are the same."""
    return (
        pq.read_table(path)
        .select(list(_RESULT))
        .sort_by([(key, "ascending") for key in _RESULT[:2]])
    )
