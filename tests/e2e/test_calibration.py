"""A calibration on a real cluster: as on one machine, whatever is killed meanwhile."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pyarrow as pa
import pytest
import yaml

from built_images import BuiltImages, build_images
from cluster_runs import algorithm, progress, results_of, rows, start_run, wait_for
from kubernetes_environment import Environment
from modelops.core.automation import find_engine
from oci_container import Container, mounted

pytestmark = [pytest.mark.k8s, pytest.mark.timeout(900, func_only=True)]

_LOCALLY = """
set -eu
python=$(command -v python)
mops() { "$python" -m modelops.cli.main --config /spec/runtime.yaml "$@"; }
mops up
mops adaptive status --watch >&2
mops adaptive results --output /var/lib/modelops/results.parquet
mops down --delete-data --yes
"""

# Kills the Dask worker of a pod; prints how many processes were below it and what becomes of them.
_KILL_WORKER = """
import os, signal, time
from pathlib import Path

def processes():
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            status = (folder / "stat").read_text().rpartition(")")[2].split()
            found[int(folder.name)] = status[0], (folder / "cmdline").read_bytes(), int(status[1])
        except OSError:
            pass
    return found

def workers():
    name = b"distributed.cli.dask_worker"
    return {pid for pid, (_, line, _) in processes().items() if name in line.split(bytes(1))}

(killed,) = workers()
print("below", sum(parent == killed for _, _, parent in processes().values()))
os.kill(killed, signal.SIGKILL)
deadline = time.monotonic() + 40
while time.monotonic() < deadline:
    time.sleep(0.5)
    unreaped = [pid for pid, (state, _, _) in processes().items() if state == "Z"]
    others = workers() - {killed}
    if others and not unreaped:
        break
print("unreaped", len(unreaped))
print("workers", len(others))
"""


@pytest.fixture(scope="module")
def on_one_machine(slow_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> pa.Table:
    """The results of the local provider, in the image that the cluster's pods run."""
    built: BuiltImages = build_images()
    folder = tmp_path_factory.mktemp("local")
    spec = {
        "apiVersion": "modelops/v1",
        "kind": "Runtime",
        "metadata": {"name": "test", "env": "local"},
        "spec": {
            "provider": {"name": "local"},
            "workerGroups": {"default": {"min": 4, "max": 4}},
            "algorithms": {"sir": algorithm("/bundle")},
        },
    }
    (folder / "spec").mkdir()
    (folder / "spec" / "runtime.yaml").write_text(yaml.safe_dump(spec))
    engine = Path(find_engine().command)
    with mounted(built.image("runner")) as image:
        variables = dict(line.split("=", 1) for line in image.config["Env"])
        container = Container(
            image,
            folder,
            ["bash", "-c", _LOCALLY],
            env={"PATH": f"/engine:{variables['PATH']}"},
            mounts={slow_bundle: "/bundle", folder / "spec": "/spec", engine.parent: "/engine"},
        )
        container.run()
    return rows(folder / "home" / "results.parquet")


def test_a_bundle_gets_to_a_worker_and_back(workspace: Environment) -> None:
    told = workspace.mops("dev", "smoke-test", "--json").stdout
    assert json.loads(told)["ok"] is True


def test_a_run_gives_what_it_gives_on_one_machine(
    workspace: Environment, slow_bundle: Path, on_one_machine: pa.Table
) -> None:
    start_run(workspace, slow_bundle, "quiet")
    assert on_one_machine.num_rows == 240
    assert results_of(workspace, "quiet").equals(on_one_machine)
    report = workspace.folder / "report.html"
    workspace.mops("adaptive", "report", "--run-id", "quiet", "--output", report)
    assert "quiet" in report.read_text()
    assert "finished" in workspace.mops("adaptive", "list").stdout


def test_whatever_is_killed_a_run_ends_with_the_same_results(
    workspace: Environment, slow_bundle: Path, on_one_machine: pa.Table
) -> None:
    start_run(workspace, slow_bundle, "killed", nap=2.5)

    def goes_on() -> None:
        """Wait for trials that end after this, of a run that hasn't ended."""
        before = progress(workspace, "killed")["completed"]
        wait_for(workspace, "killed", lambda found: found["completed"] > before + 1)
        assert progress(workspace, "killed")["state"] == "running"

    for pods in (
        "app.kubernetes.io/name=database-journal",
        "app=dask-worker",
        "app=dask-scheduler",
        "modelops/run-id=killed",
        "app.kubernetes.io/name=registry",
    ):
        goes_on()
        workspace.kubectl("delete", "pod", "--selector", pods, "--grace-period=0", "--force")
        # Without the database nobody can tell how far the run is.
        for state in ("create", "condition=Ready"):
            database = "pod/database-journal-0"
            workspace.kubectl("wait", f"--for={state}", database, "--timeout=60s")
    assert results_of(workspace, "killed").equals(on_one_machine)


def test_a_drained_node_loses_nothing(
    workspace: Environment, slow_bundle: Path, on_one_machine: pa.Table
) -> None:
    start_run(workspace, slow_bundle, "drained")
    wait_for(workspace, "drained", lambda found: found["completed"] >= 8)
    node = workspace.kubectl("get", "nodes", "--output=name").strip().removeprefix("node/")
    drained: subprocess.Popen[str] = workspace.cluster.start_command(
        [
            *("kubectl", "drain", node, "--pod-selector=app=dask-worker"),
            *("--ignore-daemonsets", "--delete-emptydir-data", "--timeout=300s"),
        ]
    )
    try:
        # There is no other node: the pods that take over start on this one.
        cordoned = "jsonpath={.spec.unschedulable}=true"
        workspace.cluster.kubectl("wait", f"node/{node}", f"--for={cordoned}", "--timeout=60s")
        workspace.cluster.kubectl("uncordon", node)
        output, errors = drained.communicate(timeout=330)
        assert drained.returncode == 0, f"{output}{errors}"
    finally:
        drained.kill()
        workspace.cluster.kubectl("uncordon", node)
    assert results_of(workspace, "drained").equals(on_one_machine)


def test_a_killed_worker_leaves_no_process_behind(workspace: Environment) -> None:
    workers = "--selector=app=dask-worker"
    workspace.kubectl("wait", "--for=condition=Ready", "pod", workers, "--timeout=120s")
    names = workspace.kubectl("get", "pods", workers, "--output=name")
    told = workspace.kubectl("exec", names.split()[0], "--", "python", "-c", _KILL_WORKER)
    found = dict(line.split() for line in told.splitlines())
    assert int(found["below"]) > 0
    assert (found["unreaped"], found["workers"]) == ("0", "1")
