"""An environment of provider `kubernetes`, by `mops` and by the chain of stacks below it."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from kubernetes_provider.launcher import path_with_plugin
from testcluster import Access

_CHAIN = Path(__file__).with_name("kubernetes_chain.py")
_SECONDS = 280.0
# What every namespace has from the cluster itself.
_THE_CLUSTERS_OWN = {"serviceaccount/default", "configmap/kube-root-ca.crt"}
KEPT = {
    "persistentvolumeclaim/database-journal-data",
    "persistentvolumeclaim/objects-results",
    "persistentvolumeclaim/registry-data",
    "secret/database-journal",
}
"""What `down` leaves in an environment's namespace."""
_KINDS = (
    "deployments,statefulsets,jobs,pods,services,configmaps,secrets,persistentvolumeclaims,"
    "serviceaccounts,roles,rolebindings,networkpolicies,poddisruptionbudgets,resourcequotas"
)


@dataclass(frozen=True)
class Outcome:
    """What an operation did: the engine's counts by stack, what was told, and the error."""

    changes: dict[str, dict[str, int]]
    bindings: dict[str, Any]
    steps: list[str]
    error: str


@dataclass(frozen=True)
class Environment:
    """An environment of a test's own in the cluster."""

    cluster: Access
    folder: Path
    env: str
    images: dict[str, str]
    told: list[str] = field(default_factory=list)
    """All that `mops` and the chain have printed."""

    @property
    def home(self) -> Path:
        """The MODELOPS_HOME of who uses it."""
        return self.folder / "home"

    @property
    def namespace(self) -> str:
        return f"modelops-dask-{self.env}"

    def write(self, provider: dict[str, Any] | None = None, **spec: Any) -> Path:
        body = {
            "provider": {
                "name": "kubernetes",
                "kubeconfig": str(self.cluster.kubeconfig),
                # The cluster has one node.
                "accessMode": "ReadWriteOnce",
                "volumes": {"registry": "1Gi", "objects": "1Gi", "database": "1Gi"},
                "images": self.images,
                "readyTimeout": "3m",
                **(provider or {}),
            },
            "workerGroups": {"default": {"min": 1, "max": 1}},
            **spec,
        }
        path = self.folder / "runtime.yaml"
        document = {"apiVersion": "modelops/v1", "kind": "Runtime"}
        metadata = {"name": "test", "env": self.env}
        path.write_text(yaml.safe_dump({**document, "metadata": metadata, "spec": body}))
        return path

    def do(self, action: str, *components: str) -> Outcome:
        """Run an operation on some stacks, in their order, in the cluster's network."""
        spec = self.folder / "runtime.yaml"
        command = [sys.executable, _CHAIN, spec, action, *components]
        done = self.cluster.run([*self._variables(), *command], timeout=_SECONDS)
        self.told.append(f"{done.stdout}{done.stderr}")
        return Outcome(**json.loads(done.stdout.splitlines()[-1]))

    def mops(
        self, *arguments: str | Path, expect: int = 0, seconds: float = _SECONDS
    ) -> subprocess.CompletedProcess[str]:
        """Run `mops` in the cluster's network, as from a laptop."""
        program = Path(sys.executable).with_name("mops")
        command = [program, "--config", self.folder / "runtime.yaml", *arguments]
        done = self.cluster.run([*self._variables(), *command], check=False, timeout=seconds)
        self.told.append(f"{done.stdout}{done.stderr}")
        assert done.returncode == expect, f"{done.stdout}{done.stderr}"
        return done

    def up(self, *components: str) -> Outcome:
        done = self.do("up", *components)
        assert done.error == "", "\n".join([done.error, *done.steps])
        return done

    def down(self, *components: str) -> Outcome:
        done = self.do("down", *components)
        assert done.error == "", "\n".join([done.error, *done.steps])
        return done

    def kubectl(self, *arguments: str) -> str:
        return self.cluster.kubectl(f"--namespace={self.namespace}", *arguments)

    def there(self) -> set[str]:
        """Return what is in the namespace, but for what every namespace has."""
        listed = self.kubectl("get", _KINDS, "--output=name").split()
        return {name.replace(".apps", "").replace(".batch", "") for name in listed} - (
            _THE_CLUSTERS_OWN
        )

    def rights(self, account: str) -> set[str]:
        """Return what a service account may do, a line each, besides what every one may."""
        return self._rights(self.namespace, account) - self._rights("default", "default")

    def _rights(self, namespace: str, account: str) -> set[str]:
        listed = self.cluster.kubectl(
            *("auth", "can-i", "--list", "--no-headers", f"--namespace={namespace}"),
            f"--as=system:serviceaccount:{namespace}:{account}",
        )
        return {" ".join(line.split()) for line in listed.splitlines()}

    def secret(self, name: str, key: str) -> str:
        item = json.loads(self.kubectl("get", "secret", name, "--output=json"))
        return base64.b64decode(item["data"][key]).decode()

    def sql(self, statement: str) -> str:
        """Run a statement in the database's pod, as a client that has the URL of its Secret."""
        # Its pod can ask nobody, not even for a name.
        host = f"database-journal.{self.namespace}.svc"
        url = self.secret("database-journal", "url").replace(host, "127.0.0.1")
        pod = "statefulset/database-journal"
        return self.kubectl("exec", pod, "--", "psql", "-qtA", url, "-c", statement).strip()

    def _variables(self) -> list[str]:
        """Return a command that sets the variables of what is run in the cluster's network."""
        return ["env", f"MODELOPS_HOME={self.home}", f"PATH={path_with_plugin(self.folder)}"]
