"""A workspace and runs on a real Kubernetes, beside the local provider on the same machine.

From `mops workspace up` to all workers connected, `mops up` with nothing to do, from `mops adaptive
up` to the first result, and simulations a second in runs of `examples/sir`. The baselines are the
same commands with the local provider and as many workers, in turns with the cluster's. Pods run
images that are on the node. The engine's plugin is the tests' stand-in unless the real one is on
PATH. It takes root, and what `make test-k8s` takes.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq
import yaml
from _figures import figure, seconds

from built_images import BuiltImages, build
from built_images import what_is_missing as what_images_lack
from cluster_images import push_images
from kubernetes_environment import Environment
from testcluster import Cluster
from testcluster import what_is_missing as what_clusters_lack

RUNS = 3
WORKERS, TRIALS, REPLICATES = 2, 400, 5
_ROOT = Path(__file__).parents[1]
_STACKS = ("registry", "infra", "workspace")


@dataclass(frozen=True)
class Side:
    """A provider: its name, how `mops` is called for it, and how a spec of it is written."""

    name: str
    folder: Path
    mops: Callable[..., object]
    write: Callable[..., object]

    def timed(self, *arguments: str | Path) -> float:
        """Return how long a command takes."""
        return seconds(lambda: self.mops(*arguments))


def spec(bundle: Path) -> dict[str, Any]:
    """Return the spec's body, but for the provider."""
    parameters = {
        "sampler": "random",
        "n_trials": TRIALS,
        "n_parallel": 16,
        "replicates": REPLICATES,
        "seed": 1,
    }
    entrypoint = {
        "bundle": str(bundle),
        "targets": ["prevalence"],
        "space": {"beta": {"low": 0.5, "high": 4.0}, "gamma": {"low": 0.15, "high": 1.0}},
    }
    return {
        "registry": {"class": "distribution", "auth": "htpasswd", "tls": True},
        "workerGroups": {"default": {"min": WORKERS, "max": WORKERS}},
        "algorithms": {
            "sir": {"type": "optuna", "parameters": parameters, "entrypoint": entrypoint}
        },
    }


def new_bundle(side: Side, number: int) -> Path:
    """Write the example as a bundle of which no result is stored."""
    bundle = side.folder / f"sir-{number}"
    shutil.copytree(_ROOT / "examples" / "sir", bundle)
    with (bundle / "model.py").open("a") as file:
        file.write(f"\n# {number}\n")
    return bundle


def time_workspace(sides: list[Side]) -> None:
    """From nothing to connected workers; registry and infra stay up."""
    found: dict[str, list[float]] = {side.name: [] for side in sides}
    for side in sides:
        side.write(**spec(new_bundle(side, 0)))
        for stack in _STACKS[:2]:
            side.mops(stack, "up")
    for number in range(RUNS):
        for side in sides:
            found[side.name].append(side.timed("workspace", "up"))
            if number < RUNS - 1:
                side.mops("workspace", "down", "--yes")
    tell("mops workspace up, all workers connected", found, "s")


def time_runs(sides: list[Side]) -> None:
    """From the command to the first result, and simulations a second in the middle of runs."""
    first: dict[str, list[float]] = {side.name: [] for side in sides}
    rates: dict[str, list[float]] = {side.name: [] for side in sides}
    for number in range(1, RUNS + 1):
        for side in sides:
            side.write(**spec(new_bundle(side, number)))
            run_id, table = f"bench-{number}", side.folder / f"{number}.parquet"
            start = time.time()
            side.mops("adaptive", "up", "--detach", "--run-id", run_id)
            side.mops("adaptive", "status", "--watch", "--run-id", run_id)
            side.mops("adaptive", "results", "--run-id", run_id, "--output", table)
            ends = pq.read_table(table)["ended_at"].cast("timestamp[us]").cast("int64")
            begun, ended = pc.min(ends).as_py() / 1e6, pc.max(ends).as_py() / 1e6
            first[side.name].append(begun - start)
            rates[side.name].append((TRIALS - 1) * REPLICATES / (ended - begun))
    tell("mops adaptive up to the first result", first, "s")
    tell("simulations of examples/sir", rates, "1/s")


def time_unchanged(sides: list[Side]) -> None:
    """`mops up` when nothing is to do."""
    found: dict[str, list[float]] = {side.name: [] for side in sides}
    for side in sides:
        side.mops("up")
    for _ in range(RUNS):
        for side in sides:
            found[side.name].append(side.timed("up"))
    tell("no-op mops up", found, "s")


def tell(name: str, found: dict[str, list[float]], unit: str) -> None:
    """Print a figure of the cluster beside the local provider's."""
    figure(name, median(found["kubernetes"]), unit, baseline=median(found["local"]))


def local_side(folder: Path) -> Side:
    """Return the local provider, with a home in the folder."""
    folder.mkdir()
    path = folder / "runtime.yaml"
    program = Path(sys.executable).with_name("mops")

    def write(**body: Any) -> None:
        body["provider"] = {"name": "local"}
        metadata = {"name": "bench", "env": "local"}
        document = {"apiVersion": "modelops/v1", "kind": "Runtime"}
        path.write_text(yaml.safe_dump({**document, "metadata": metadata, "spec": body}))

    def mops(*arguments: str | Path) -> None:
        subprocess.run(
            [program, "--config", path, *arguments],
            env={**os.environ, "MODELOPS_HOME": str(folder / "home")},
            capture_output=True,
            check=True,
        )

    return Side("local", folder, mops, write)


def main() -> int:
    """Print the figures as JSON objects; 1 if no cluster can run here."""
    lacking = what_clusters_lack() or what_images_lack()
    if lacking:
        sys.stderr.write(f"{lacking}\n")
        return 1
    built = BuiltImages(_ROOT / ".build" / "test-images")
    build(built)
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        cluster = stack.enter_context(Cluster(f"modelops-bench-{os.getpid()}"))
        (scratch / "kubernetes").mkdir()
        images = push_images(cluster, built, scratch)
        environment = Environment(cluster, scratch / "kubernetes", "bench", images)
        sides = [
            Side("kubernetes", environment.folder, environment.mops, environment.write),
            local_side(scratch / "local"),
        ]
        stack.callback(sides[1].mops, "down", "--delete-data", "--yes")
        time_workspace(sides)
        time_runs(sides)
        time_unchanged(sides)
    return 0


if __name__ == "__main__":
    sys.exit(main())
