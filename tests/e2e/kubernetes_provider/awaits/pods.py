"""Why a pod isn't ready, from its status."""

from collections.abc import Iterator

from kubernetes_provider.objects import at, conditions, name_of, namespace_of
from kubernetes_provider.properties import Object


def full_name(item: Object) -> str:
    """Return an object's name, with its namespace unless that is `default`."""
    namespace = namespace_of(item)
    return name_of(item) if namespace in ("", "default") else f"{namespace}/{name_of(item)}"


def pod_reasons(pod: Object) -> list[str]:
    """Return the reason of a pod that has begun to start but isn't ready; none of others.

    As with the real provider, one that isn't scheduled gives no reason (its condition is told as
    information only), and init containers give none of their own.
    """
    found = conditions(pod)
    if at(found.get("PodScheduled"), "status") != "True":
        return []
    for name in ("Initialized", "Ready"):
        condition = found.get(name)
        if condition is None:
            return []
        is_done = name == "Ready" and at(pod, "status", "phase") == "Succeeded"
        if condition.get("status") == "True" or is_done:
            continue
        problems = "\n".join(_problems(pod))
        message = condition.get("message") or ""
        if not problems and not message:
            return []
        if not condition.get("reason"):
            message = ""
        return [f"[Pod {full_name(pod)}]: {message}{problems}"]
    return []


def _problems(pod: Object) -> Iterator[str]:
    for status in at(pod, "status", "containerStatuses") or ():
        if status.get("ready"):
            continue
        waiting = at(status, "state", "waiting")
        if waiting is not None and waiting.get("reason") != "ContainerCreating":
            yield f"[{waiting.get('reason', '')}] {waiting.get('message', '')}"
        ended = at(status, "state", "terminated") or {}
        if ended.get("message") and ended.get("reason"):
            yield f"[{ended['reason']}] {ended['message']}"
        elif ended.get("reason"):
            yield f'container "{status["name"]}" completed with exit code {ended.get("exitCode")}'
        if last := at(status, "lastState", "terminated"):
            yield (
                f'container "{status["name"]}" terminated at {last.get("finishedAt")} '
                f"({last.get('reason', '')}: exit code {last.get('exitCode')})"
            )
            if last.get("message"):
                yield last["message"]
