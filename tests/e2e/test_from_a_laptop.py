"""`mops` on a machine outside of a real cluster: everything through the API server."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kubernetes_environment import KEPT, Environment
from kubernetes_provider.launcher import path_with_plugin

pytestmark = [pytest.mark.k8s, pytest.mark.timeout(900, func_only=True)]

_SIR = Path(__file__).parents[2] / "examples" / "sir"
_TRIALS = 6
_ALGORITHM = {
    "type": "optuna",
    "parameters": {"sampler": "random", "n_trials": _TRIALS, "n_parallel": 2, "replicates": 2},
    "entrypoint": {
        "bundle": "sir",
        "targets": ["prevalence"],
        "space": {"beta": {"low": 0.5, "high": 4.0}, "gamma": {"low": 0.15, "high": 1.0}},
    },
}


class Laptop:
    """The command line with a home of its own, in the network from which the cluster is reached."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        (environment.folder / "plugin").mkdir()
        self._variables = {
            "MODELOPS_HOME": str(environment.folder / "home"),
            "PATH": path_with_plugin(environment.folder / "plugin"),
        }

    def __call__(self, *arguments: str, folder: Path | None = None, expect: int = 0) -> str:
        """Run `mops` and return what it printed to stdout."""
        return self.run(*arguments, folder=folder, expect=expect).stdout

    def run(
        self, *arguments: str, folder: Path | None = None, expect: int = 0
    ) -> subprocess.CompletedProcess[str]:
        """Run `mops`."""
        done = self._environment.cluster.run(
            [
                *("env", f"--chdir={folder or self._environment.folder}"),
                *(f"{name}={value}" for name, value in self._variables.items()),
                *(Path(sys.executable).with_name("mops"), *arguments),
            ],
            check=False,
            timeout=400,
        )
        assert done.returncode == expect, f"{arguments}\n{done.stdout}\n{done.stderr}"
        return done


def test_a_run_is_made_followed_and_looked_at_from_outside(
    environment: Environment, tmp_path: Path
) -> None:
    shutil.copytree(_SIR, environment.folder / "sir")
    environment.write(algorithms={"sir": _ALGORITHM})
    laptop = Laptop(environment)

    run_id = laptop("up").splitlines()[-1]
    progress = laptop.run("adaptive", "status", "--watch", "--run-id", run_id)
    assert "Finished: loss" in progress.stderr
    health = json.loads(laptop("status", "--json"))
    assert health["healthy"], health
    assert health["runs"][0]["completed"] == _TRIALS

    best = json.loads(laptop("adaptive", "results", "--json"))
    assert len(best) == _TRIALS
    laptop("adaptive", "report", "--output", str(tmp_path / "report.html"))
    assert (tmp_path / "report.html").stat().st_size > 10_000
    replayed = json.loads(laptop("adaptive", "replay", "--trial", "1", "--json"))
    assert replayed["same"]
    assert {item["outputs"] for item in replayed["replicates"]} == {"same"}
    assert "trials" in laptop("adaptive", "logs")
    listed = json.loads(laptop("logs", "--list", "--json"))
    assert {"part": f"run-{run_id}", "stack": "adaptive"} in listed
    refused = laptop.run("adaptive", "prune", "--older-than", "1s", expect=1)
    assert "can only be read" in refused.stderr

    laptop("dev", "smoke-test", "--timeout", "120")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    repositories = laptop("bundle", "list", "--env", environment.env, folder=elsewhere)
    assert "sir" in repositories
    assert "modelops-smoke-test" in repositories
    laptop("secrets", "set", "token", "s3cret", "--env", environment.env, folder=elsewhere)
    assert environment.secret("modelops-secrets", "token") == "s3cret"

    laptop("down", "--yes")
    assert environment.there() == KEPT | {"secret/modelops-secrets"}
    laptop("down", "--delete-data", "--yes")
    left = environment.cluster.kubectl("get", "namespace", "--output=name")
    assert environment.namespace not in left
    assert laptop.run("down").stderr == f"{environment.env}: nothing is up.\n"
