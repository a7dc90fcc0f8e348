"""A scaled group on a real cluster: from nothing to what is needed, and back, idle pods first."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest

from kubernetes_environment import Environment

pytestmark = [pytest.mark.k8s, pytest.mark.timeout(600, func_only=True)]

# As docs/kubernetes.md says: resource, names, verbs.
RIGHTS = {
    "deployments.apps [] [] [list]",
    "deployments.apps [] [dask-workers] [get patch]",
    "deployments.apps/scale [] [dask-workers] [get patch]",
    "pods [] [] [get list patch]",
}
_SECONDS = 240.0
_CLIENT = """
import json, os, platform, time
from distributed import Client

def work(seconds):
    time.sleep(seconds)
    return platform.node()

with Client(os.environ["DASK_SCHEDULER"]) as client:
    resources = {"group-default": 1}
    longest = client.submit(work, 150, resources=resources, pure=False)
    others = client.map(work, [4.0] * 8, resources=resources, pure=False)
    print(json.dumps(client.gather(others)), flush=True)
    print(json.dumps(longest.result()), flush=True)
"""


def replicas(environment: Environment) -> int:
    return int(
        environment.kubectl("get", "deployment/dask-workers", "--output=jsonpath={.spec.replicas}")
    )


def pods(environment: Environment) -> set[str]:
    """Return the names of the workers' pods that aren't ending."""
    listed = environment.kubectl("get", "pods", "--selector=app=dask-worker", "--output=json")
    return {
        item["metadata"]["name"]
        for item in json.loads(listed)["items"]
        if "deletionTimestamp" not in item["metadata"]
    }


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Look again and again: nothing tells of what is awaited."""
    deadline = time.monotonic() + _SECONDS
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.5)


def test_pods_come_with_the_load_and_go_with_it_but_the_busy_one(environment: Environment) -> None:
    environment.write(workerGroups={"default": {"min": 0, "max": 2}})
    environment.up("registry", "infra", "workspace")
    assert replicas(environment) == 0
    assert environment.rights("modelops-scaler") == RIGHTS
    client = environment.cluster.start_command(
        [
            *("kubectl", f"--namespace={environment.namespace}", "exec", "deployment/dask-scaler"),
            *("--", "python", "-c", _CLIENT),
        ]
    )
    try:
        assert client.stdout is not None
        line = client.stdout.readline()
        assert line, client.communicate()
        assert len(json.loads(line)) == 8
        # For a minute none of them counts as too many.
        assert replicas(environment) == 2
        wait_until(lambda: replicas(environment) == 1, "the idle pod stays")
        wait_until(lambda: len(pods(environment)) == 1, "the idle pod stays")
        (busy,) = pods(environment)
        assert client.poll() is None
        # As when its node is drained: it finishes what it has, though it gets no more.
        environment.kubectl("delete", f"pod/{busy}", "--wait=false")
        wait_until(lambda: busy not in pods(environment), "the pod isn't ending")
        assert client.poll() is None
        assert json.loads(client.stdout.readline()) == busy
        assert client.wait(_SECONDS) == 0
    finally:
        client.kill()
        client.wait()
    wait_until(lambda: not pods(environment), "pods without work stay")
    again = environment.up("workspace")
    assert set(again.changes["workspace"]) == {"same"}
    environment.down("workspace", "infra", "registry")
