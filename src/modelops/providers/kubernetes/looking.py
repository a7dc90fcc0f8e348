"""One object of a stack as the cluster has it now."""

from collections.abc import Mapping
from typing import Any

from modelops.providers.base import ProviderPlan
from modelops.providers.kubernetes import cluster, objects
from modelops.providers.kubernetes.objects import Item, condition

_JOB = "Job"
_UNKNOWN_FAILURE = 1


def look(plan: ProviderPlan, outputs: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the outputs of a resource as they are now.

    What is no object of a cluster, as a password, stays as it is.

    Raises:
        ProviderError: if the cluster can't be asked.
    """
    kind, metadata = outputs.get("kind"), outputs.get("metadata") or {}
    if "apiVersion" not in outputs or not kind or "name" not in metadata:
        return outputs
    properties = cluster.properties_of(plan)
    namespace = str(metadata.get("namespace") or properties["namespace"])
    with cluster.api(properties) as api:
        name = str(metadata["name"])
        found = objects.get(api, str(outputs["apiVersion"]), str(kind), name, namespace)
        if found is None or found["metadata"].get("deletionTimestamp"):
            return {**outputs, "exists": False}
        if kind != _JOB:
            return {**outputs, "exists": True}
        code = job_exit_code(found)
        if code:
            pods = objects.get_all(api, "Pod", namespace, {"job-name": name})
            code = next(iter(_failures(pods)), code)
    # A run that failed is dead, one that finished isn't.
    return {**outputs, "exists": True, "alive": not code, "exit_code": code}


def job_exit_code(job: Item) -> int | None:
    """Return 0 if a Job is complete, 1 if it failed, None if it goes on."""
    if condition(job, "Complete").get("status") == "True":
        return 0
    return _UNKNOWN_FAILURE if condition(job, "Failed").get("status") == "True" else None


def _failures(pods: list[Item]) -> list[int]:
    """Return the exit codes of containers that failed, those of the newest pods first."""
    newest_first = sorted(pods, key=lambda pod: pod["metadata"]["creationTimestamp"], reverse=True)
    codes = [
        container.get("state", {}).get("terminated", {}).get("exitCode")
        for pod in newest_first
        for container in pod.get("status", {}).get("containerStatuses") or ()
    ]
    return [int(code) for code in codes if code]
