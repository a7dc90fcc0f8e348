"""A namespace of a real Kubernetes for a test, and simple pods to put into it."""

from dataclasses import dataclass
from typing import Any

import yaml

from testcluster import Access, ClusterError

Resource = dict[str, Any]

# What Pod Security's "restricted" standard asks of a container, and a read-only root beside.
RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "runAsUser": 1000,
    "readOnlyRootFilesystem": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}


@dataclass(frozen=True)
class KubernetesNamespace:
    """A namespace of the test's own; `image` is busybox, sleeping."""

    cluster: Access
    name: str
    image: str

    def kubectl(self, *arguments: str, **options: Any) -> str:
        """Run kubectl in the namespace, and return its output."""
        return self.cluster.kubectl(f"--namespace={self.name}", *arguments, **options)

    def apply(self, *resources: Resource) -> None:
        """Create resources, or change them."""
        self.kubectl("apply", "--filename=-", input=yaml.safe_dump_all(resources))

    def wait(self, resource: str, condition: str) -> None:
        """Wait until a condition holds; pods that don't come up are shown in the error."""
        try:
            self.kubectl("wait", resource, f"--for={condition}", "--timeout=50s")
        except ClusterError as error:
            raise AssertionError(f"{error}\n{self.kubectl('describe', 'pods')[-4000:]}") from None

    def run_pod(self, described: Resource) -> None:
        """Create a pod, and wait until it runs."""
        self.apply(described)
        self.wait(f"pod/{described['metadata']['name']}", "condition=Ready")

    def shell(self, pod: str, script: str) -> str:
        """Run a script in a pod, and return its output."""
        return self.kubectl("exec", pod, "--", "sh", "-c", script)

    def restrict(self) -> None:
        """Enforce Pod Security's "restricted" standard."""
        label = "pod-security.kubernetes.io/enforce=restricted"
        self.cluster.kubectl("label", "namespace", self.name, label)

    def pod(self, name: str, script: str | None = None, **container: object) -> Resource:
        """Return a pod of one container, which sleeps unless it has a script."""
        spec = {"name": "main", "image": self.image, "imagePullPolicy": "IfNotPresent"}
        command = {} if script is None else {"command": ["sh", "-c", script]}
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "labels": {"app": name}},
            "spec": {
                "containers": [{**spec, **command, **container}],
                "restartPolicy": "Never",
                "terminationGracePeriodSeconds": 0,
            },
        }

    def deployment(self, name: str, replicas: int, script: str) -> Resource:
        """Return a Deployment of such pods, labelled `app: NAME`."""
        described = self.pod(name, script)
        return {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name},
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": {"app": name}},
                "template": {
                    "metadata": {"labels": {"app": name}},
                    "spec": {**described["spec"], "restartPolicy": "Always"},
                },
            },
        }


def service(name: str, port: int, target: int) -> Resource:
    """Return a Service of the pods that are labelled `app: NAME`."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": {"app": name}, "ports": [{"port": port, "targetPort": target}]},
    }
