"""Objects that are ready by what their own status says. A refresh doesn't look at it."""

from kubernetes_provider.api import Event
from kubernetes_provider.awaits.base import Await
from kubernetes_provider.objects import at, name_of
from kubernetes_provider.properties import Object

_FIVE_MINUTES = 300.0


class _SingleAwait(Await):
    IS_CHECKED_ON_READ = False
    LONGEST_SECONDS = _FIVE_MINUTES

    def observe(self, event: Event) -> None:
        if event.type != "DELETED" and self.is_itself(event.item):
            self.item = event.item

    def timed_out(self) -> str:
        return f"Timeout occurred polling for '{name_of(self.item)}'"


class ClaimAwait(_SingleAwait):
    """A PersistentVolumeClaim is ready when it is bound.

    One of a storage class that waits for the first consumer is ready while it's pending: it can't
    be bound before a pod uses it.
    """

    KINDS = (("storage.k8s.io/v1", "StorageClass"), ("v1", "PersistentVolumeClaim"))

    def __init__(self, item: Object, before: Object | None = None) -> None:
        super().__init__(item, before)
        self._modes: dict[str, str] = {}

    def observe(self, event: Event) -> None:
        super().observe(event)
        if event.item["kind"] == "StorageClass":
            self._modes[name_of(event.item)] = event.item.get("volumeBindingMode", "Immediate")

    @property
    def is_ready(self) -> bool:
        phase = at(self.item, "status", "phase")
        if self.before is not None and phase == "Bound":
            return True
        mode = self._modes.get(at(self.item, "spec", "storageClassName") or "")
        return bool(phase == ("Pending" if mode == "WaitForFirstConsumer" else "Bound"))


class QuotaAwait(_SingleAwait):
    """A ResourceQuota is ready when its controller has taken its limits up."""

    KINDS = (("v1", "ResourceQuota"),)
    LONGEST_SECONDS = 60.0

    @property
    def is_ready(self) -> bool:
        hard = at(self.item, "spec", "hard")
        return hard is not None and hard == at(self.item, "status", "hard")


class TokenAwait(_SingleAwait):
    """A Secret is ready at once, unless it is a service account's token, which is filled in."""

    KINDS = (("v1", "Secret"),)
    LONGEST_SECONDS = 5.0

    @property
    def is_ready(self) -> bool:
        is_token = self.item.get("type") == "kubernetes.io/service-account-token"
        return not is_token or bool(self.item.get("data"))
