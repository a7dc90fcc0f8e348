"""What is protected in a cluster, and from whom: certificates, rights, pods, secrets."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import stamina
import yaml

from cluster_runs import results_of, start_run
from kubernetes_environment import Environment
from kubernetes_namespace import KubernetesNamespace
from modelops.core.automation import find_engine

pytestmark = [pytest.mark.k8s, pytest.mark.timeout(600, func_only=True)]

_REFUSED = "TLSV13_ALERT_CERTIFICATE_REQUIRED"
# Tries each HOST:PORT without a certificate, and prints what becomes of it.
_CONNECT = """
import socket, ssl, sys

context = ssl.create_default_context()
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE
for place in sys.argv[1:]:
    host, port = place.rsplit(":", 1)
    try:
        with socket.create_connection((host, int(port)), timeout=5) as plain:
            with context.wrap_socket(plain) as secured:
                print(place, "answers", secured.recv(100))
    except ssl.SSLError as error:
        print(place, error.reason)
    except OSError as error:
        print(place, type(error).__name__)
"""
# Prints the ports at which the pod listens to others.
_LISTENING = """
from pathlib import Path

for table in ("tcp", "tcp6"):
    for line in Path("/proc/net", table).read_text().splitlines()[1:]:
        words = line.split()
        address, port = words[1].split(":")
        if words[3] == "0A" and not address.endswith("0100007F"):
            print(int(port, 16))
"""
_METRICS = "9100"
# Values of Secrets that everybody may see.
_PUBLIC = {"ca.crt", "tls.crt", "username"}


def test_who_has_no_certificate_is_refused_by_all_of_dask(
    workspace: Environment, namespace: KubernetesNamespace
) -> None:
    scheduler = f"dask-scheduler.{workspace.namespace}.svc"
    worker = pods_of(workspace, "app=dask-worker")[0]
    listening = workspace.kubectl(
        "exec", worker["metadata"]["name"], "--", "python", "-c", _LISTENING
    )
    ports = set(listening.split()) - {_METRICS}
    assert ports
    address = worker["status"]["podIP"]
    places = [f"{scheduler}:8786", f"{scheduler}:8787", *(f"{address}:{port}" for port in ports)]
    stranger = namespace.pod("stranger", "exec sleep 600", image=workspace.images["worker"])
    namespace.run_pod(stranger)

    def outcomes() -> dict[str, str]:
        told = namespace.kubectl("exec", "stranger", "--", "python", "-c", _CONNECT, *places)
        return dict(line.split(" ", 1) for line in told.splitlines())

    # Another namespace doesn't get as far as a handshake.
    assert set(outcomes().values()) <= {"TimeoutError", "ConnectionRefusedError"}
    with everybody_let_in(workspace):
        for attempt in stamina.retry_context(on=AssertionError, attempts=None, timeout=60):
            with attempt:
                assert outcomes() == dict.fromkeys(places, _REFUSED)


@contextmanager
def everybody_let_in(environment: Environment) -> Iterator[None]:
    """Have no network policy keep anybody from scheduler and workers, for a block."""
    policy = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "everybody", "namespace": environment.namespace},
        "spec": {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{}]},
    }
    environment.cluster.kubectl("apply", "--filename=-", input=yaml.safe_dump(policy))
    try:
        yield
    finally:
        environment.kubectl("delete", "networkpolicy/everybody")


def test_pods_may_ask_nothing_of_the_api(workspace: Environment) -> None:
    assert workspace.rights("modelops") == set()
    for pod in pods_of(workspace):
        assert pod["spec"]["serviceAccountName"] == "modelops"
        assert pod["spec"]["automountServiceAccountToken"] is False


def test_every_container_is_restricted(workspace: Environment) -> None:
    found = pods_of(workspace)
    parts = {pod["metadata"]["labels"]["app.kubernetes.io/component"] for pod in found}
    assert {"registry", "objects", "database", "scheduler", "worker"} <= parts
    for pod in found:
        spec = pod["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] == 1000
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not any("hostPath" in volume for volume in spec["volumes"])
        for container in (*spec["containers"], *spec.get("initContainers", [])):
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False
            assert context["readOnlyRootFilesystem"] is True
            assert context["capabilities"] == {"drop": ["ALL"]}
    # The API server looks at all pods when the version of a standard changes, and finds nothing.
    told = workspace.cluster.run(
        [
            *("kubectl", "label", "--dry-run=server", "--overwrite", "namespace"),
            *(workspace.namespace, "pod-security.kubernetes.io/enforce-version=v1.30"),
        ]
    )
    assert "labeled" in told.stdout
    assert told.stderr == ""
    namespace = json.loads(
        workspace.cluster.kubectl("get", "namespace", workspace.namespace, "--output=json")
    )
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_the_next_run_has_a_changed_secret_and_workers_go_on(
    workspace: Environment, slow_bundle: Path
) -> None:
    def losses(run_id: str, factor: str) -> list[float]:
        action = "set" if run_id == "secret-1" else "update"
        workspace.mops("secrets", action, "factor", factor)
        small = {"model": "secret", "n_trials": 2, "replicates": 1}
        start_run(workspace, slow_bundle, run_id, **small)
        found: list[float] = results_of(workspace, run_id)["loss"].to_pylist()
        return found

    workers = names_of(pods_of(workspace, "app=dask-worker"))
    first = losses("secret-1", "0.5012345")
    second = losses("secret-2", "0.7012345")
    assert len(first) == len(second) == 2
    assert first != second
    assert losses("secret-3", "0.5012345") == first
    assert names_of(pods_of(workspace, "app=dask-worker")) == workers


def test_no_secret_is_told_to_anybody(workspace: Environment) -> None:
    workspace.mops("status")
    workspace.mops("adaptive", "list")
    values = secret_values(workspace)
    assert {"database-journal/password", "registry-login/password", "dask-tls/tls.key"} <= set(
        values
    )
    shown = {
        "mops": "".join(workspace.told),
        "objects": everything_but_secrets(workspace),
        **{f"log of {name}": log_of(workspace, name) for name in names_of(pods_of(workspace))},
        **exported_stacks(workspace),
    }
    assert len(shown) > 10
    assert all(shown.values())
    for where, text in shown.items():
        for name, value in values.items():
            encoded = base64.b64encode(value.encode()).decode()
            assert value not in text, f"{name} is in {where}"
            assert encoded not in text, f"{name} is in {where}"


def secret_values(environment: Environment) -> dict[str, str]:
    """Return what nobody may see: Secret and key → value, of a private key its first line."""
    listed = json.loads(environment.kubectl("get", "secrets", "--output=json"))["items"]
    found = {}
    for item in listed:
        for key, encoded in item.get("data", {}).items():
            value = base64.b64decode(encoded).decode()
            if key.endswith(".key"):
                value = value.splitlines()[1]
            if key not in _PUBLIC:
                found[f"{item['metadata']['name']}/{key}"] = value.strip()
    phrase = environment.home / "passphrase"
    return {**found, "passphrase": phrase.read_text().strip()}


def exported_stacks(environment: Environment) -> dict[str, str]:
    """Return what the engine exports of each stack to who has no passphrase."""
    folders = list(environment.home.rglob(".pulumi/stacks"))
    assert len(folders) == 1
    backend = folders[0].parents[1]

    def engine(*arguments: str) -> str:
        variables = {
            "PULUMI_BACKEND_URL": f"file://{backend}",
            "PULUMI_HOME": str(environment.folder / "another-home"),
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PATH": os.environ["PATH"],
        }
        command = [find_engine().command, *arguments, "--non-interactive"]
        given = [f"{name}={value}" for name, value in variables.items()]
        return environment.cluster.run(["env", "-i", *given, *command]).stdout

    stacks = json.loads(engine("stack", "ls", "--all", "--json"))
    assert len(stacks) >= 3
    return {
        f"stack {stack['name']}": engine("stack", "export", "--stack", stack["name"])
        for stack in stacks
    }


def everything_but_secrets(environment: Environment) -> str:
    kinds = "all,configmaps,persistentvolumeclaims,serviceaccounts,networkpolicies,events"
    return environment.kubectl("get", kinds, "--output=yaml")


def log_of(environment: Environment, pod: str) -> str:
    return environment.kubectl("logs", pod, "--all-containers") or "nothing"


def pods_of(environment: Environment, selector: str = "") -> list[dict[str, Any]]:
    listed = environment.kubectl("get", "pods", f"--selector={selector}", "--output=json")
    found: list[dict[str, Any]] = json.loads(listed)["items"]
    return found


def names_of(pods: list[dict[str, Any]]) -> list[str]:
    return sorted(pod["metadata"]["name"] for pod in pods)
