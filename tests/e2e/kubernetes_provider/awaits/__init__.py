"""When an object counts as ready, by kind, and what is said of one that isn't."""

from kubernetes_provider.awaits.base import Await
from kubernetes_provider.awaits.deployment import DeploymentAwait
from kubernetes_provider.awaits.job import JobAwait
from kubernetes_provider.awaits.service import ServiceAwait
from kubernetes_provider.awaits.single import ClaimAwait, QuotaAwait, TokenAwait
from kubernetes_provider.awaits.stateful_set import StatefulSetAwait
from kubernetes_provider.objects import kind_of
from kubernetes_provider.properties import Object

_AWAITS: dict[tuple[str, str], type[Await]] = {
    ("apps/v1", "Deployment"): DeploymentAwait,
    ("apps/v1", "StatefulSet"): StatefulSetAwait,
    ("batch/v1", "Job"): JobAwait,
    ("v1", "PersistentVolumeClaim"): ClaimAwait,
    ("v1", "ResourceQuota"): QuotaAwait,
    ("v1", "Secret"): TokenAwait,
    ("v1", "Service"): ServiceAwait,
}


def await_of(item: Object, before: Object | None) -> Await | None:
    """Return how to wait for an object; None if it's ready once it exists.

    Args:
        item: the object as the server answered with it.
        before: what it was before it was changed; None if it was made.
    """
    found = _AWAITS.get(kind_of(item))
    return found(item, before) if found is not None else None
