"""A namespace of a real cluster with simple pods in the place of an environment's parts."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from kubernetes_namespace import KubernetesNamespace, Resource
from kubernetes_plans import PLAN, provider
from modelops.providers.base import Component, ProviderPlan, StackView
from modelops.providers.kubernetes import names
from modelops.providers.kubernetes.provider import KubernetesProvider
from testcluster import Access

ENV = "reached"
PROVIDER = KubernetesProvider()


@dataclass(frozen=True)
class ReachedNamespace:
    """An environment's namespace; what is in it are a test's own simple pods."""

    cluster: Access
    name: str
    image: str

    @property
    def pods(self) -> KubernetesNamespace:
        """The namespace, to put things into it."""
        return KubernetesNamespace(self.cluster, self.name, self.image)

    def plan(self, **options: Any) -> ProviderPlan:
        """Return the plan of an environment in the namespace."""
        given = {"namespace": self.name, "kubeconfig": str(self.cluster.kubeconfig), **options}
        return PROVIDER.compile(replace(PLAN, env=ENV, provider=provider(**given)))

    def create(self, **labels: str) -> None:
        """Make the namespace as the stack does, or with other labels."""
        metadata = {"name": self.name, "labels": labels or names.namespace_labels(ENV)}
        self.pods.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})

    def deploy(self, name: str, role: str, script: str, **more: Any) -> None:
        """Make a Deployment of one pod in the place of a part, and wait until it is ready."""
        self.pods.apply(self.deployment(name, role, script, **more))
        self.pods.wait(f"deployment/{name}", "condition=Available")

    def deployment(
        self,
        name: str,
        role: str,
        script: str,
        *,
        image: str | None = None,
        ready: str = "true",
        **spec: Any,
    ) -> Resource:
        """Return a Deployment of one pod in the place of a part; `ready` tells when it is."""
        pod = self.spec(script, image, **spec)
        probe = {"exec": {"command": ["sh", "-c", ready]}, "periodSeconds": 1}
        pod["containers"][0]["readinessProbe"] = probe
        labels = names.labels(ENV, name, role)
        return {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name, "labels": labels},
            "spec": {
                "replicas": 1,
                "selector": {"matchLabels": {names.NAME_LABEL: name}},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": pod,
                },
            },
        }

    def spec(self, script: str, image: str | None = None, **more: Any) -> Resource:
        """Return the spec of a pod that the namespace takes."""
        container = {
            "name": "main",
            "image": image or self.image,
            "imagePullPolicy": "IfNotPresent",
            "command": ["sh", "-c", script],
            "terminationMessagePolicy": "FallbackToLogsOnError",
            "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
            "securityContext": {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
            },
        }
        return {
            "containers": [container],
            "volumes": [{"name": "tmp", "emptyDir": {}}],
            "terminationGracePeriodSeconds": 0,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 1000,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            **more,
        }

    def job(self, run_id: str, script: str) -> Resource:
        """Return the Job of a run."""
        labels = {**names.labels(ENV, "modelops-run", names.RUNNER_ROLE), names.RUN_LABEL: run_id}
        return {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": names.run(run_id), "labels": labels},
            "spec": {
                "backoffLimit": 0,
                "template": {
                    "metadata": {"labels": labels},
                    "spec": self.spec(script, restartPolicy="Never"),
                },
            },
        }

    def secret(self, name: str, **data: str) -> Resource:
        """Return a Secret."""
        encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
        labels = names.labels(ENV, name, "secrets")
        metadata = {"name": name, "labels": labels}
        return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": encoded}

    def view(self, component: Component, run_id: str | None = None) -> StackView:
        """Return a stack as if it were up."""
        from modelops.contracts import BindingOutputs

        return StackView(component, {}, BindingOutputs(), run_id)


@contextmanager
def reached_namespace(cluster: Access, image: str) -> Iterator[ReachedNamespace]:
    """Give a block a name for a namespace, which is removed afterwards."""
    name = f"modelops-reached-{uuid.uuid4().hex[:8]}"
    yield ReachedNamespace(cluster, name, image)
    cluster.kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found")
