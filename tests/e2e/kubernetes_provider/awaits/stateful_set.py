"""A StatefulSet is ready when its rollout is complete: all replicas ready, of one revision."""

from typing import Any

from kubernetes_provider.api import Event
from kubernetes_provider.awaits.base import Await
from kubernetes_provider.awaits.pods import pod_reasons
from kubernetes_provider.objects import at, is_owned, name_of
from kubernetes_provider.properties import Object


class StatefulSetAwait(Await):
    """From the StatefulSet and its pods."""

    KINDS = (("apps/v1", "StatefulSet"), ("v1", "Pod"))

    def __init__(self, item: Object, before: Object | None = None) -> None:
        super().__init__(item, before)
        self._pods: dict[str, Object] = {}

    def observe(self, event: Event) -> None:
        item = event.item
        if item["kind"] == "Pod":
            self._pods.pop(name_of(item), None)
            if event.type != "DELETED" and is_owned(item, self.item):
                self._pods[name_of(item)] = item
                for reason in pod_reasons(item):
                    self.say(reason, "warning")
        elif event.type != "DELETED" and self.is_itself(item):
            self.item = item
            self._tell_progress()

    @property
    def is_ready(self) -> bool:
        return self._is_observed and self._are_replicas_ready and self._is_revision_ready

    def reasons(self) -> list[str]:
        found = []
        if not self._are_replicas_ready:
            found.append(f"{self._ready} out of {self._wanted} replicas succeeded readiness checks")
        if not self._is_revision_ready:
            current, target = self._status("currentRevision"), self._status("updateRevision")
            found.append(
                f'StatefulSet controller failed to advance from revision "{current or ""}" to '
                f'revision "{target or ""}"'
            )
        return found + [each for pod in self._pods.values() for each in pod_reasons(pod)]

    @property
    def _is_observed(self) -> bool:
        observed = self._status("observedGeneration")
        return bool(observed is not None and observed >= self.item["metadata"]["generation"])

    @property
    def _is_replaced_by_hand(self) -> bool:
        strategy = at(self.item, "spec", "updateStrategy", "type")
        return bool(strategy == "OnDelete" and self.item["metadata"]["generation"] > 1)

    @property
    def _wanted(self) -> int:
        wanted: int | None = at(self.item, "spec", "replicas")
        return 1 if wanted is None else wanted

    @property
    def _ready(self) -> int:
        ready: int | None = self._status("readyReplicas")
        return ready or 0

    @property
    def _are_replicas_ready(self) -> bool:
        counts = ["replicas", "readyReplicas"]
        if not self._is_replaced_by_hand:
            counts.append("currentReplicas")
        return all((self._status(count) or 0) == self._wanted for count in counts)

    @property
    def _is_revision_ready(self) -> bool:
        current = self._status("currentRevision")
        is_current = bool(current) and bool(current == self._status("updateRevision"))
        return self._is_replaced_by_hand or is_current

    def _status(self, name: str) -> Any:
        return at(self.item, "status", name)

    def _tell_progress(self) -> None:
        counts = f"({self._ready}/{self._wanted} Pods ready)"
        if self.is_ready:
            self.say("StatefulSet initialization complete")
        elif self.item["metadata"]["generation"] <= 1:
            self.say(f"[1/2] Waiting for StatefulSet to create Pods {counts}")
        elif not self._are_replicas_ready:
            self.say(f"[1/3] Waiting for StatefulSet update to roll out {counts}")
        else:
            self.say("[2/3] Waiting for StatefulSet to update .status.currentRevision")
