"""What a cluster's parts tell of themselves: metrics as Prometheus reads them, logs as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from cluster_runs import results_of, start_run, wait_for
from kubernetes_environment import Environment

pytestmark = [pytest.mark.k8s, pytest.mark.timeout(600, func_only=True)]


def scraped(environment: Environment, selector: str) -> dict[str, float]:
    """Return the samples of all pods that are selected, added up by their names."""
    found: dict[str, float] = {}
    names = environment.kubectl("get", "pods", f"--selector={selector}", "--output=name").split()
    for pod in [name.removeprefix("pod/") for name in names]:
        path = f"/api/v1/namespaces/{environment.namespace}/pods/{pod}:9100/proxy/metrics"
        for family in text_string_to_metric_families(
            environment.cluster.kubectl("get", f"--raw={path}")
        ):
            for sample in family.samples:
                found[sample.name] = found.get(sample.name, 0.0) + sample.value
    return found


def test_metrics_and_logs_tell_of_a_run(workspace: Environment, slow_bundle: Path) -> None:
    before = scraped(workspace, "app=dask-worker")
    start_run(workspace, slow_bundle, "watched", n_trials=40, replicates=2, nap=2.0)
    wait_for(workspace, "watched", lambda found: found["completed"] >= 4)

    run = scraped(workspace, "modelops/run-id=watched")
    assert run["modelops_run_info"] == 1
    assert run["modelops_trials_planned"] == 40
    assert 4 <= run["modelops_trials_total"] < 40
    assert run["modelops_simulations_in_flight"] > 0
    scheduler = scraped(workspace, "app=dask-scheduler")
    assert scheduler["modelops_scheduler_workers"] == 4
    assert scheduler["modelops_scheduler_slots"] == 4

    results_of(workspace, "watched")
    after = scraped(workspace, "app=dask-worker")
    assert after["modelops_simulations_total"] - before["modelops_simulations_total"] == 80
    assert (
        after["modelops_bundle_pulled_bytes_total"] > before["modelops_bundle_pulled_bytes_total"]
    )
    log = workspace.kubectl("logs", "--selector=modelops/run-id=watched", "--tail=-1")
    lines = [json.loads(line) for line in log.splitlines()]
    assert {line.get("run_id") for line in lines} >= {"watched"}
    assert all({"time", "level", "logger", "message"} <= set(line) for line in lines)
