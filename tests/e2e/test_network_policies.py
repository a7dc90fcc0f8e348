"""The cluster enforces NetworkPolicies, so that those of ModelOps can be tried."""

from typing import Any

import pytest
import stamina

from kubernetes_namespace import KubernetesNamespace, Resource, service
from testcluster import Cluster

pytestmark = [
    pytest.mark.k8s,
    pytest.mark.timeout(180, func_only=True),
    pytest.mark.usefixtures("own_cluster"),
]

SERVE = "echo here > /tmp/index.html; exec httpd -f -p 8080 -h /tmp"
TO_DNS = {
    "to": [
        {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
            "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
        }
    ]
}


@pytest.fixture
def web(own_cluster: Cluster, namespace: KubernetesNamespace) -> KubernetesNamespace:
    """A namespace with a web server, which a friend and a stranger reach."""
    namespace.apply(service("web", 80, 8080))
    for described in (namespace.pod("web", SERVE), *map(namespace.pod, ("friend", "stranger"))):
        namespace.run_pod(described)
    for client in ("friend", "stranger"):
        wait_until_admitted(namespace, client)
    return namespace


def test_only_those_reach_a_pod_whom_its_policy_admits(web: KubernetesNamespace) -> None:
    admitted = {"from": [{"podSelector": {"matchLabels": {"app": "friend"}}}]}
    web.apply(policy("web", policyTypes=["Ingress"], ingress=[admitted]))
    wait_until_refused(web, "stranger")
    wait_until_admitted(web, "friend")


def test_a_pod_reaches_only_what_its_policy_admits(web: KubernetesNamespace) -> None:
    to_web = {"to": [{"podSelector": {"matchLabels": {"app": "web"}}}]}
    web.apply(
        policy("stranger", policyTypes=["Egress"], egress=[TO_DNS]),
        policy("friend", policyTypes=["Egress"], egress=[TO_DNS, to_web]),
    )
    wait_until_refused(web, "stranger")
    wait_until_admitted(web, "friend")
    # Names are still resolved, so it was the connection that was refused.
    assert "Address" in web.shell("stranger", f"nslookup web.{web.name}.svc.cluster.local")


def fetch(namespace: KubernetesNamespace, client: str) -> str:
    return namespace.shell(client, "timeout 3 wget -q -O- http://web/ || echo refused")


def wait_until_refused(namespace: KubernetesNamespace, client: str) -> None:
    """Wait until a policy has come into force."""
    for attempt in stamina.retry_context(on=AssertionError, attempts=None, timeout=30):
        with attempt:
            assert fetch(namespace, client) == "refused\n"


def wait_until_admitted(namespace: KubernetesNamespace, client: str) -> None:
    """Wait until the node knows that it may."""
    for attempt in stamina.retry_context(on=AssertionError, attempts=None, timeout=30):
        with attempt:
            assert fetch(namespace, client) == "here\n"


def policy(pod: str, **spec: Any) -> Resource:
    """Return a policy for the pod that is labelled `app: POD`."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": pod},
        "spec": {"podSelector": {"matchLabels": {"app": pod}}, **spec},
    }
