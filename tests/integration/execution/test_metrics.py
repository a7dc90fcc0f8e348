"""What scheduler and workers tell of themselves, over HTTP."""

import re
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from free_ports import free_port
from integration.execution.conftest import SECONDS, Cluster
from integration.execution.test_dask_tls import issue
from modelops.services.dask_settings import SCHEDULER_ENV
from modelops.services.dask_simulation import DaskSimulationService
from modelops.worker.scheduler_services import DASHBOARD_VARIABLE

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

Start = Callable[..., AbstractContextManager[Cluster]]

MODEL = """
import os

def simulate(params, seed):
    if seed == 3:
        raise ValueError("told")
    if seed == 4:
        os.kill(os.getpid(), 9)
    return {"x": seed}
"""


def get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def metrics(port: int) -> dict[str, float]:
    """Return the samples, `name{labels}` → value."""
    lines = get(port, "/metrics")[1].splitlines()
    return {
        name: float(value)
        for name, value in (re.split(r" (?=\S+$)", line) for line in lines if line[0] != "#")
    }


def test_scheduler_and_workers_tell_what_they_do(
    start_cluster: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scheduler, workers = free_port(), free_port()
    monkeypatch.setenv("MODELOPS_METRICS_PORT", str(workers))
    scheduler_env = {**SCHEDULER_ENV, "MODELOPS_METRICS_PORT": str(scheduler)}
    with (
        start_cluster(tmp_path, workers=2, threads=2, scheduler_env=scheduler_env) as cluster,
        DaskSimulationService(cluster.address, worker_group="cpu") as service,
    ):
        assert get(scheduler, "/readyz") == get(workers, "/readyz") == (200, "ok\n")
        ref = cluster.push(cluster.write_bundle(MODEL))
        service.gather(
            [service.submit("model:simulate", {}, seed, bundle_ref=ref) for seed in range(10)]
        )
        told = metrics(workers)
        assert told['modelops_simulations_total{outcome="completed"}'] >= 8
        assert told['modelops_simulations_total{outcome="failed"}'] >= 1
        assert told['modelops_children_ended_total{reason="crash"}'] >= 1
        # The two share the machine's cache, so only one of them has fetched it.
        assert told['modelops_bundle_cache_requests_total{result="miss"}'] == 1
        assert told['modelops_bundle_cache_requests_total{result="hit"}'] >= 1
        assert told["modelops_bundle_pulled_bytes_total"] > 0
        assert told["modelops_simulation_seconds_total"] > 0
        assert told["modelops_worker_slots"] == 4
        assert told["modelops_worker_busy_slots"] == 0
        assert told["modelops_worker_processes"] == 2

        group = metrics(scheduler)
        assert group['modelops_scheduler_workers{group="cpu"}'] == 2
        assert group['modelops_scheduler_slots{group="cpu"}'] == 4
        assert group['modelops_scheduler_tasks{group="cpu",state="queued"}'] == 0

        # What a worker has counted outlives it.
        cluster.workers()[0].kill()
        cluster.wait_for_log("has registered", times=3)
        again = metrics(workers)
        completed = 'modelops_simulations_total{outcome="completed"}'
        assert again[completed] == told[completed]
        assert again["modelops_worker_slots"] == 4
        assert again["modelops_worker_restarts_total"] == 1

        # A worker that can't register is none that is ready.
        cluster.scheduler.kill()
        cluster.scheduler.wait()
        deadline = time.monotonic() + SECONDS
        while (status := get(workers, "/readyz")[0]) != 503:
            assert time.monotonic() < deadline, status
            time.sleep(0.05)
        assert get(workers, "/healthz") == (200, "ok\n")


def test_pages_are_served_to_who_has_a_certificate_of_the_ca(
    start_cluster: Start, tmp_path: Path
) -> None:
    port = free_port()
    scheduler_env = {
        **SCHEDULER_ENV,
        DASHBOARD_VARIABLE: str(port),
        "DASK_DISTRIBUTED__SCHEDULER__HTTP__ROUTES": (
            '["distributed.http.health", "distributed.http.scheduler.json"]'
        ),
    }
    ours, theirs = issue(tmp_path, "ours"), issue(tmp_path, "theirs")
    folder = tmp_path / "cluster"
    folder.mkdir()

    def ask(certificate: Path | None) -> bytes:
        context = ssl.create_default_context(cafile=str(ours / "ca.crt"))
        context.check_hostname = False
        if certificate is not None:
            context.load_cert_chain(certificate / "tls.crt", certificate / "tls.key")
        url = f"https://127.0.0.1:{port}/json/counts.json"
        with urllib.request.urlopen(url, context=context, timeout=10) as answer:
            read: bytes = answer.read()
            return read

    with start_cluster(folder, workers=1, certificates=ours, scheduler_env=scheduler_env):
        assert b'"workers": 1' in ask(ours)
        for stranger in (None, theirs):
            with pytest.raises((ssl.SSLError, urllib.error.URLError, ConnectionError, OSError)):
                ask(stranger)
