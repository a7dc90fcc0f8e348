"""A Deployment is ready when the ReplicaSet of its present revision has its pods available."""

from typing import Any

from kubernetes_provider.api import Event
from kubernetes_provider.awaits.base import Await
from kubernetes_provider.awaits.pods import pod_reasons
from kubernetes_provider.objects import annotation, at, conditions, is_owned, name_of
from kubernetes_provider.properties import Object

_REVISION = "deployment.kubernetes.io/revision"


class DeploymentAwait(Await):
    """From the Deployment, its ReplicaSets, their pods, and the claims that its pods mount."""

    KINDS = (
        ("apps/v1", "Deployment"),
        ("apps/v1", "ReplicaSet"),
        ("v1", "Pod"),
        ("v1", "PersistentVolumeClaim"),
    )

    def __init__(self, item: Object, before: Object | None = None) -> None:
        super().__init__(item, before)
        self._seen: dict[str, dict[str, Object]] = {kind: {} for _, kind in self.KINDS}

    def observe(self, event: Event) -> None:
        item = event.item
        seen = self._seen[item["kind"]]
        if event.type == "DELETED":
            seen.pop(name_of(item), None)
        else:
            seen[name_of(item)] = item
        if event.type != "DELETED" and self.is_itself(item):
            self.item = item
            for message in self._errors():
                self.say(message, "warning")
        self._tell_progress()

    @property
    def is_ready(self) -> bool:
        current = self._replica_set
        if not self._is_observed or current is None or not self._are_pods_ready(current):
            return False
        if self._unbound() or not self._is_available:
            return False
        return self._revision == "1" or self._is_rolled_out

    def reasons(self) -> list[str]:
        found = self._errors()
        if unbound := self._unbound():
            names = ",".join(map(name_of, unbound))
            found.append(f'Failed to bind PersistentVolumeClaim(s): "{names}"')
        current = self._replica_set
        are_pods_ready = current is not None and self._are_pods_ready(current)
        if not self._is_available:
            found.append("Minimum number of live Pods was not attained")
        elif (self._revision == "1" and not are_pods_ready) or not self._is_rolled_out:
            found.append("Minimum number of Pods to consider the application live was not attained")
        elif not are_pods_ready:
            found.append(
                "Attempted to roll forward to new ReplicaSet, but minimum number of Pods did not "
                "become live"
            )
        return found + [reason for pod in self._pods() for reason in pod_reasons(pod)]

    @property
    def _is_observed(self) -> bool:
        observed = at(self.item, "status", "observedGeneration")
        return observed is not None and observed >= self.item["metadata"]["generation"]

    @property
    def _revision(self) -> str:
        return annotation(self.item, _REVISION)

    @property
    def _replica_set(self) -> Object | None:
        for each in self._seen["ReplicaSet"].values():
            if is_owned(each, self.item) and annotation(each, _REVISION) == self._revision != "":
                return each
        return None

    @property
    def _is_available(self) -> bool:
        return bool(at(conditions(self.item), "Available", "status") == "True")

    @property
    def _is_rolled_out(self) -> bool:
        progress: dict[str, Any] = conditions(self.item).get("Progressing", {})
        done = progress.get("reason") == "NewReplicaSetAvailable"
        return done and progress.get("status") == "True"

    @staticmethod
    def _are_pods_ready(current: Object) -> bool:
        wanted = at(current, "spec", "replicas")
        ready = at(current, "status", "readyReplicas")
        return bool((ready or 0) >= (1 if wanted is None else wanted))

    def _errors(self) -> list[str]:
        found = []
        for name in ("Progressing", "Available"):
            condition = conditions(self.item).get(name, {})
            is_false = condition.get("status", "True") != "True"
            if is_false and condition.get("reason") and condition.get("message"):
                found.append(f"[{condition['reason']}] {condition['message']}")
        return found

    def _pods(self) -> list[Object]:
        current = self._replica_set
        return [each for each in self._seen["Pod"].values() if is_owned(each, current)]

    def _unbound(self) -> list[Object]:
        volumes = at(self.item, "spec", "template", "spec", "volumes") or ()
        names = {at(each, "persistentVolumeClaim", "claimName") for each in volumes}
        claims = self._seen["PersistentVolumeClaim"].values()
        wanted = [each for each in claims if name_of(each) in names]
        return [each for each in wanted if at(each, "status", "phase") != "Bound"]

    def _tell_progress(self) -> None:
        if self.is_ready:
            self.say("Deployment initialization complete")
            return
        if current := self._replica_set:
            wanted = at(current, "spec", "replicas")
            ready = at(current, "status", "readyReplicas") or 0
            self.say(
                f"Waiting for app ReplicaSet to be available ({ready}/{wanted} Pods available)"
            )
        for claim in self._unbound():
            self.say(
                f"PersistentVolumeClaim: [{name_of(claim)}] is not ready. status.phase currently "
                f"at: {at(claim, 'status', 'phase')}",
                "warning",
            )
        for pod in self._pods():
            for reason in pod_reasons(pod):
                self.say(reason, "warning")
