"""The health of an environment's parts, from what the cluster knows of their pods."""

import datetime
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from modelops.core.background import start
from modelops.core.errors import ProviderError
from modelops.providers.base import Component, ProviderPlan, ResourcePlan, StackView, run_part
from modelops.providers.health import PartHealth, PartState, no_answer
from modelops.providers.kubernetes import cluster, objects
from modelops.providers.kubernetes import component_types as types
from modelops.providers.kubernetes.looking import job_exit_code
from modelops.providers.kubernetes.objects import Item, name_of
from modelops.providers.kubernetes.parts import part_of, pod_labels
from modelops.providers.kubernetes.reasons import event_reasons, pod_reasons, workload_reasons

_KINDS = {
    types.BUNDLE_REGISTRY: "Deployment",
    types.OBJECT_STORE: "Deployment",
    types.SCHEDULER: "Deployment",
    types.WORKER_GROUP: "Deployment",
    types.SCALER: "Deployment",
    types.POSTGRES: "StatefulSet",
    types.CACHE: "PersistentVolumeClaim",
    types.QUOTA: "ResourceQuota",
}
_BINDINGS = {
    types.BUNDLE_REGISTRY: "MODELOPS_BUNDLE_REGISTRY",
    types.EXTERNAL_REGISTRY: "MODELOPS_BUNDLE_REGISTRY",
    types.OBJECT_STORE: "OBJECT_STORE_URL",
    types.EXTERNAL_STORE: "OBJECT_STORE_URL",
    types.SCHEDULER: "DASK_SCHEDULER",
}
_EXTERNAL = "made by others, and not asked"
_NOT_ASKED = {
    types.EXTERNAL_REGISTRY: _EXTERNAL,
    types.EXTERNAL_STORE: _EXTERNAL,
    types.EXTERNAL_DATABASE: _EXTERNAL,
    types.SERVICE_MONITOR: "for the Prometheus operator",
}


@dataclass(frozen=True)
class _Seen:
    """What is in the namespace: objects by kind and name, pods by part, and what went wrong."""

    objects: Mapping[tuple[str, str], Item]
    pods: Mapping[str, list[Item]]
    events: list[Item]


def check_stack(plan: ProviderPlan, stack: StackView, seconds: float) -> tuple[PartHealth, ...]:
    """Return the health of each part that the plan has; of a run, that of its Job.

    Raises:
        ProviderError: if the cluster can't be asked.
    """
    asked = start(lambda: _look(plan, stack))
    try:
        seen = asked.result(timeout=seconds)
    except TimeoutError:
        raise ProviderError(
            f"The cluster {no_answer(seconds)}.", hint="Give it longer with --timeout."
        ) from None
    if stack.component is Component.ADAPTIVE:
        return (_run(run_part(stack.run_id or ""), seen),)
    resources = plan.stack(stack.component).resources
    return tuple(_part(resource, stack, seen) for resource in resources)


def _look(plan: ProviderPlan, stack: StackView) -> _Seen:
    properties = cluster.properties_of(plan)
    namespace = properties["namespace"]
    of_stack = ("Job",) if stack.component is Component.ADAPTIVE else _kinds(plan, stack)
    with cluster.api(properties) as api:
        found = {
            (kind, name_of(item)): item
            for kind in of_stack
            for item in objects.get_all(api, kind, namespace)
        }
        if stack.component is Component.REGISTRY:
            there = objects.get(api, "v1", "Namespace", namespace, namespace)
            if there is not None:
                found["Namespace", namespace] = there
        pods: dict[str, list[Item]] = {}
        for pod in objects.get_all(api, "Pod", namespace, pod_labels(plan.env)):
            pods.setdefault(part_of(pod), []).append(pod)
        return _Seen(found, pods, objects.get_all(api, "Event", namespace))


def _kinds(plan: ProviderPlan, stack: StackView) -> tuple[str, ...]:
    wanted = {_KINDS.get(resource.type, "") for resource in plan.stack(stack.component).resources}
    return tuple(sorted(wanted - {""}))


def _part(resource: ResourcePlan, stack: StackView, seen: _Seen) -> PartHealth:
    address = stack.bindings.env.get(_BINDINGS.get(resource.type, ""), "")
    if resource.type == types.NAMESPACE:
        return _namespace(resource, seen)
    if resource.type in _NOT_ASKED:
        detail = _NOT_ASKED[resource.type]
        return PartHealth(resource.name, PartState.HEALTHY, detail=detail, address=address)
    kind = _KINDS[resource.type]
    item = seen.objects.get((kind, resource.name))
    if item is None or item["metadata"].get("deletionTimestamp"):
        reason = f"its {kind} isn't there any more"
        return PartHealth(resource.name, PartState.GONE, reason, address=address)
    if kind == "ResourceQuota":
        return PartHealth(resource.name, PartState.HEALTHY, detail=_used(item))
    is_claim = kind == "PersistentVolumeClaim"
    return _claim(resource, item, seen) if is_claim else _workload(resource, item, address, seen)


def _namespace(resource: ResourcePlan, seen: _Seen) -> PartHealth:
    name = resource.properties["namespace"]
    item = seen.objects.get(("Namespace", name))
    if item is None:
        return PartHealth(resource.name, PartState.GONE, f"the namespace {name} isn't there")
    phase = item.get("status", {}).get("phase")
    if phase != "Active":
        reason = f"the namespace {name} is {phase}"
        return PartHealth(resource.name, PartState.UNHEALTHY, reason)
    return PartHealth(resource.name, PartState.HEALTHY, detail=name, since=_created(item))


def _claim(resource: ResourcePlan, item: Item, seen: _Seen) -> PartHealth:
    phase = item.get("status", {}).get("phase")
    if phase == "Lost":
        reasons = [f"its volume is lost: {item['spec'].get('volumeName')}"]
    elif phase == "Bound":
        reasons = []
    else:
        # Many classes make the volume with the first pod that mounts it.
        reasons = event_reasons(_about(seen.events, {name_of(item)}))
    state = PartState.UNHEALTHY if reasons else PartState.HEALTHY
    return PartHealth(resource.name, state, "; ".join(reasons), detail=str(phase).lower())


def _workload(resource: ResourcePlan, item: Item, address: str, seen: _Seen) -> PartHealth:
    least = item["spec"].get("replicas", 1)
    most = least
    if resource.type == types.WORKER_GROUP:
        least, most = resource.properties["min"], resource.properties["max"]
    ready = item.get("status", {}).get("readyReplicas", 0)
    pods = seen.pods.get(resource.name, [])
    wanted = str(most) if least == most else f"{least} to {most}"
    detail = f"{ready} of {wanted} pods"
    reasons = _reasons(item, pods, seen)
    if ready >= least and (resource.type == types.WORKER_GROUP or not reasons):
        since = _created(item)
        return PartHealth(
            resource.name, PartState.HEALTHY, detail=detail, address=address, since=since
        )
    reason = "; ".join([f"only {detail} are ready", *reasons])
    return PartHealth(resource.name, PartState.UNHEALTHY, reason, detail, address)


def _run(part: str, seen: _Seen) -> PartHealth:
    job = seen.objects.get(("Job", part))
    if job is None or job["metadata"].get("deletionTimestamp"):
        return PartHealth(part, PartState.GONE, "its Job isn't there any more")
    since, code = _created(job), job_exit_code(job)
    if code == 0:
        return PartHealth(part, PartState.FINISHED, since=since)
    reasons = _reasons(job, seen.pods.get(part, []), seen)
    if code is not None:
        return PartHealth(part, PartState.DEAD, "; ".join(reasons) or "its Job failed", since=since)
    if job.get("status", {}).get("ready"):
        return PartHealth(part, PartState.HEALTHY, since=since)
    reason = "; ".join(reasons) or "its pod isn't ready yet"
    return PartHealth(part, PartState.UNHEALTHY, reason, since=since)


def _reasons(workload: Item, pods: list[Item], seen: _Seen) -> list[str]:
    known = [*workload_reasons(workload), *(line for pod in pods for line in pod_reasons(pod))]
    if known:
        return list(dict.fromkeys(" ".join(line.split()) for line in known))
    waiting = [pod for pod in pods if pod.get("status", {}).get("phase") == "Pending"]
    claims = {
        volume["persistentVolumeClaim"]["claimName"]
        for pod in waiting
        for volume in pod["spec"].get("volumes") or ()
        if "persistentVolumeClaim" in volume
    }
    about = claims | {name_of(pod) for pod in waiting}
    # A StatefulSet and a Job whose pods are refused, as by a quota, say so in events only.
    if not pods:
        about.add(name_of(workload))
    return [" ".join(line.split()) for line in event_reasons(_about(seen.events, about))]


def _about(events: Iterable[Item], about: set[str]) -> list[Item]:
    return [event for event in events if event.get("involvedObject", {}).get("name") in about]


def _used(quota: Item) -> str:
    status: Mapping[str, Any] = quota.get("status", {})
    used = status.get("used", {})
    hard = status.get("hard", {})
    return ", ".join(f"{name} {used.get(name, '0')} of {most}" for name, most in hard.items())


def _created(item: Item) -> datetime.datetime:
    return datetime.datetime.fromisoformat(str(item["metadata"]["creationTimestamp"]))
