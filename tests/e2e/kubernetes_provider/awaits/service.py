"""A Service is ready when no endpoint of it is still becoming ready."""

from kubernetes_provider.api import Event
from kubernetes_provider.awaits.base import Await
from kubernetes_provider.objects import at
from kubernetes_provider.properties import Object


class ServiceAwait(Await):
    """From the Service and the Endpoints object of its name.

    As with the real provider, one that selects no pods at all counts as ready once its endpoints
    have been quiet for a while; headless ones, external names and those without a selector wait for
    no pods. The quiet time is shorter than the real one's ten seconds.
    """

    KINDS = (("v1", "Service"), ("v1", "Endpoints"))
    QUIET_SECONDS = 2.0

    def __init__(self, item: Object, before: Object | None = None) -> None:
        super().__init__(item, before)
        self._is_seen = False
        self._endpoints: Object | None = None
        # Until there are endpoints there is nothing that could be quiet.
        self._has_endpoints = False
        self.say("[1/3] Finding Pods to direct traffic to")

    def observe(self, event: Event) -> None:
        if not self.is_itself({**event.item, "kind": self.item["kind"]}):
            return
        if event.item["kind"] == "Service":
            self._is_seen = event.type != "DELETED"
            self.item = event.item if self._is_seen else self.item
            return
        self._has_endpoints = True
        self._endpoints = event.item if event.type != "DELETED" else None
        self.is_quiet = False

    @property
    def is_ready(self) -> bool:
        if not self._waits_for_pods:
            return self._is_exposed
        settled = self._has_endpoints and self.is_quiet
        if settled and self._is_exposed and not self._has("notReadyAddresses"):
            self.say("Service initialization complete")
            return True
        if settled and self._has("addresses"):
            self.say("[2/3] Attempting to allocate IP address to Service")
        return False

    def finish(self) -> bool:
        return self._is_exposed and not self._has("notReadyAddresses")

    def reasons(self) -> list[str]:
        found: list[str] = []
        if at(self.item, "spec", "clusterIP") == "None" or self._type == "ExternalName":
            return found
        if not self._has("addresses"):
            found.append(
                "Service does not target any Pods. Selected Pods may not be ready, or field "
                "'.spec.selector' may not match labels on any Pods"
            )
        if self._type == "LoadBalancer" and not self._is_exposed:
            found.append(
                "Service was not allocated an IP address; does your cloud provider support this?"
            )
        return found

    @property
    def _type(self) -> str:
        return at(self.item, "spec", "type") or "ClusterIP"

    @property
    def _is_exposed(self) -> bool:
        if self._type == "LoadBalancer":
            return self._is_seen and bool(at(self.item, "status", "loadBalancer", "ingress"))
        return self._is_seen

    @property
    def _waits_for_pods(self) -> bool:
        is_headless = at(self.item, "spec", "clusterIP") == "None"
        has_selector = bool(at(self.item, "spec", "selector"))
        return has_selector and not is_headless and self._type != "ExternalName"

    def _has(self, addresses: str) -> bool:
        subsets = at(self._endpoints, "subsets") or ()
        return any(subset.get(addresses) for subset in subsets)
