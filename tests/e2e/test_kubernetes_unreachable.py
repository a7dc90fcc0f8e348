"""What the Kubernetes plugin does without a cluster: the real one, or the stand-in."""

import json
from pathlib import Path

import pytest
import yaml

from kubernetes_stack import Here, KubernetesStack, Resource

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180, func_only=True)]

SETTINGS = Resource("core/v1:ConfigMap", "settings", {"data": {"level": "info"}})


def kubeconfig(server: str = "https://127.0.0.1:1") -> str:
    document = {
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": {"token": "t0ken"}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "c",
    }
    return "secret:" + yaml.safe_dump(document)


def test_a_preview_needs_no_cluster_and_an_up_says_what_is_missing(tmp_path: Path) -> None:
    stack = KubernetesStack(tmp_path, Here(), kubeconfig=kubeconfig())

    previewed, failed = stack.preview(SETTINGS), stack.up(SETTINGS)

    assert previewed.error == ""
    assert previewed.steps["settings"] == ["create"]
    assert "configured Kubernetes cluster is unreachable: " in failed.error
    assert "127.0.0.1:1" in failed.error
    state = stack.state()
    assert "settings" not in state
    assert "t0ken" not in json.dumps(state)


def test_a_context_that_is_not_there_is_named(tmp_path: Path) -> None:
    stack = KubernetesStack(tmp_path, Here(), kubeconfig=kubeconfig(), context="other")

    assert 'context "other" does not exist' in stack.up(SETTINGS).error
