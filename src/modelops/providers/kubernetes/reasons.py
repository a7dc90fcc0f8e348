"""Why things in a cluster aren't ready, from what the API says of them. Pure.

Objects are those of the API, as JSON.
"""

from collections.abc import Iterable, Iterator

from modelops.providers.kubernetes.objects import Item, condition, name_of

# Of what a container that failed said last, which may be a long traceback.
_LAST_LINES = 5
# What a container waits for that comes by itself.
_STARTING = frozenset({"ContainerCreating", "PodInitializing"})
# What becomes ready, or makes what does; other things are repaired by the cluster itself.
_AWAITED = frozenset(
    {"Deployment", "Job", "PersistentVolumeClaim", "Pod", "ReplicaSet", "StatefulSet"}
)
# Warnings of Kubernetes that are about what isn't there yet or told better by a pod's status.
_NO_REASON = frozenset({"Unhealthy", "BackOff", "Failed", "FailedToUpdateEndpoint", "NodeNotReady"})


def reasons(
    pods: Iterable[Item], events: Iterable[Item], workloads: Iterable[Item] = ()
) -> tuple[str, ...]:
    """Return a line for each thing that isn't ready and whose cause is known.

    Args:
        pods: of the namespace.
        events: of the namespace; those that are warnings count.
        workloads: its Deployments and StatefulSets, which may be unable to make pods at all.
    """
    found = [line for pod in pods for line in pod_reasons(pod)]
    found += [line for workload in workloads for line in workload_reasons(workload)]
    found += event_reasons(events)
    return tuple(dict.fromkeys(found))


def pod_reasons(pod: Item) -> Iterator[str]:
    """Yield why a pod isn't ready; nothing of one that is, has ended well or is starting."""
    name, status = name_of(pod), pod.get("status", {})
    if pod["metadata"].get("deletionTimestamp") or status.get("phase") == "Succeeded":
        return
    scheduled = condition(pod, "PodScheduled")
    if scheduled.get("status") == "False":
        yield f"pod {name} can't be placed: {scheduled.get('message', '')}"
    for container in (
        *status.get("initContainerStatuses", ()),
        *status.get("containerStatuses", ()),
    ):
        if not container.get("ready"):
            yield from _container_reasons(name, container)


def workload_reasons(workload: Item) -> Iterator[str]:
    """Yield why a workload can't make its pods, as when a quota is full."""
    failure = condition(workload, "ReplicaFailure")
    if failure.get("status") == "True":
        yield f"{name_of(workload)} can't make its pods: {failure.get('message', '')}"


def event_reasons(events: Iterable[Item]) -> list[str]:
    """Return what Kubernetes warns of: volumes that can't be made or mounted, pods refused."""
    latest: dict[tuple[str, str, str], Item] = {}
    for event in sorted(events, key=when):
        about, reason = event.get("involvedObject", {}), str(event.get("reason", ""))
        is_awaited = about.get("kind") in _AWAITED
        if is_awaited and event.get("type") == "Warning" and reason not in _NO_REASON:
            latest[str(about.get("kind")), str(about.get("name")), reason] = event
    return [
        f"{kind} {name}: {reason}: {str(event.get('message', '')).strip()}"
        for (kind, name, reason), event in latest.items()
        # A pod that can't be placed says so itself.
        if reason != "FailedScheduling"
    ]


def when(event: Item) -> str:
    """Return when an event was seen last (ISO 8601, UTC); empty if nobody noted it."""
    series = event.get("series") or {}
    return str(
        series.get("lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime") or ""
    )


def _container_reasons(pod: str, container: Item) -> Iterator[str]:
    state, name = container.get("state", {}), container.get("name")
    waiting = state.get("waiting", {})
    ended = state.get("terminated") or container.get("lastState", {}).get("terminated") or {}
    if waiting and waiting.get("reason") not in _STARTING and not ended:
        yield f"pod {pod}: {waiting.get('reason')}: {waiting.get('message', '')}"
    elif ended.get("exitCode"):
        said = "\n".join(str(ended.get("message") or "").strip().splitlines()[-_LAST_LINES:])
        why = f"{name} ended with exit code {ended['exitCode']} ({ended.get('reason')})"
        yield f"pod {pod}: {why}" + (f":\n{said}" if said else "")
