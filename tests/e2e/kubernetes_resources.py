"""Resources that tests of the Kubernetes plugin declare, and what became of them."""

from __future__ import annotations

import json
from typing import Any

from kubernetes_namespace import KubernetesNamespace
from kubernetes_stack import Resource


def config_map(**data: str) -> Resource:
    return Resource("core/v1:ConfigMap", "settings", {"metadata": named("settings"), "data": data})


def named(name: str, **annotations: str) -> dict[str, Any]:
    full = {f"pulumi.com/{key}": value for key, value in annotations.items()}
    return {"name": name, "annotations": full} if full else {"name": name}


def deployment(
    namespace: KubernetesNamespace,
    script: str = "sleep 3600",
    *,
    name: str | None = "workers",
    seconds: int = 120,
    **changes: Any,
) -> Resource:
    """Return a Deployment of one pod that runs a script; named by Pulumi if it has no name."""
    spec = namespace.deployment("workers", 1, script)["spec"]
    container = spec["template"]["spec"]["containers"][0]
    options = {"custom_timeouts": {"create": f"{seconds}s", "update": f"{seconds}s"}}
    container |= changes.pop("container", {})
    selector = changes.pop("selector", {"app": "workers"})
    spec["selector"] = {"matchLabels": selector}
    spec["template"]["metadata"]["labels"] = selector
    options |= changes.pop("options", {})
    metadata = changes.pop("metadata", {} if name is None else named(name))
    inputs = {"metadata": metadata, "spec": {**spec, **changes}}
    return Resource("apps/v1:Deployment", "workers", inputs, options)


def job(namespace: KubernetesNamespace, script: str, **annotations: str) -> Resource:
    pod = namespace.pod("run", script)["spec"]
    spec = {"backoffLimit": 0, "template": {"spec": pod}}
    options = {"custom_timeouts": {"create": "120s"}}
    return Resource(
        "batch/v1:Job", "run", {"metadata": named("run", **annotations), "spec": spec}, options
    )


def read(namespace: KubernetesNamespace, what: str) -> dict[str, Any]:
    return json.loads(namespace.kubectl("get", what, "--output=json", "--show-managed-fields"))


def names(namespace: KubernetesNamespace, kinds: str) -> set[str]:
    found = namespace.kubectl("get", kinds, "--output=name", "--ignore-not-found")
    return set(found.split())


def managers(item: dict[str, Any]) -> dict[str, str]:
    return {each["manager"]: each["operation"] for each in item["metadata"]["managedFields"]}


def every_kind(namespace: KubernetesNamespace) -> list[Resource]:
    labels = {"app": "workers"}
    pod = namespace.deployment("db", 1, "sleep 3600")["spec"]
    rule = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}
    subject = {"kind": "ServiceAccount", "name": "runner", "namespace": namespace.name}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"}
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}
    limits = [{"type": "Container", "default": {"memory": "65536Ki"}}]
    bodies: dict[str, tuple[str, dict[str, Any]]] = {
        "core/v1:ResourceQuota": ("quota", {"spec": {"hard": {"pods": "20"}}}),
        "core/v1:LimitRange": ("limits", {"spec": {"limits": limits}}),
        "core/v1:ServiceAccount": ("runner", {}),
        "core/v1:Secret": ("login", {"stringData": {"password": "hunter2"}}),
        "core/v1:ConfigMap": ("settings", {"data": {"level": "info"}}),
        "core/v1:PersistentVolumeClaim": ("data", {"spec": claim}),
        "rbac.authorization.k8s.io/v1:Role": ("reader", {"rules": [rule]}),
        "rbac.authorization.k8s.io/v1:RoleBinding": (
            "readers",
            {"roleRef": role, "subjects": [subject]},
        ),
        "policy/v1:PodDisruptionBudget": (
            "budget",
            {"spec": {"minAvailable": 1, "selector": {"matchLabels": labels}}},
        ),
        "networking.k8s.io/v1:NetworkPolicy": (
            "inside",
            {"spec": {"podSelector": {"matchLabels": labels}, "policyTypes": ["Ingress"]}},
        ),
        "apps/v1:StatefulSet": ("db", {"spec": {**pod, "serviceName": "db"}}),
    }
    headless = {"clusterIP": "None", "selector": {"app": "db"}, "ports": [{"port": 5432}]}
    exposed = {"selector": labels, "ports": [{"port": 8786, "targetPort": 8786}]}
    return [
        *(
            Resource(type_, name, {"metadata": named(name), **body})
            for type_, (name, body) in bodies.items()
        ),
        deployment(namespace),
        Resource("core/v1:Service", "db-service", {"metadata": named("db"), "spec": headless}),
        Resource("core/v1:Service", "exposed", {"metadata": named("exposed"), "spec": exposed}),
        job(namespace, "exit 0"),
    ]
