"""Which fields replace an object when they change, by kind.

The API server lets nobody change them (or the real provider thinks so); the same list as the real
one's, for the kinds that the stand-in covers.
"""

from kubernetes_provider.objects import kind_of
from kubernetes_provider.properties import Object

_IDENTITY = ("metadata.name", "metadata.namespace")
_STATEFUL_SET = (
    "spec.podManagementPolicy",
    "spec.revisionHistoryLimit",
    "spec.selector",
    "spec.serviceName",
    "spec.volumeClaimTemplates",
)
_CLAIM = ("spec.accessModes", "spec.selector", "spec.storageClassName", "spec.volumeName")
_JOB = ("spec.completions", "spec.parallelism", "spec.selector", "spec.template")
_RBAC = "rbac.authorization.k8s.io/v1"

_BY_KIND: dict[tuple[str, str], tuple[str, ...]] = {
    ("apps/v1", "DaemonSet"): ("spec.selector",),
    ("apps/v1", "Deployment"): ("spec.selector",),
    ("apps/v1", "StatefulSet"): _STATEFUL_SET,
    ("batch/v1", "Job"): _JOB,
    (_RBAC, "ClusterRoleBinding"): ("roleRef",),
    (_RBAC, "RoleBinding"): ("roleRef",),
    ("storage.k8s.io/v1", "StorageClass"): ("parameters", "provisioner"),
    ("v1", "PersistentVolumeClaim"): _CLAIM,
    ("v1", "ResourceQuota"): ("spec.scopes",),
    ("v1", "Service"): ("spec.clusterIP",),
}


def replacing_fields(
    item: Object, *, mutable_secrets: bool = False, mutable_config_maps: bool = False
) -> tuple[tuple[str, ...], ...]:
    """Return the paths of the fields of an object whose change replaces it.

    Data of Secrets and ConfigMaps are among them unless the provider was told that they may change.
    """
    kind = kind_of(item)
    is_immutable = item.get("immutable") is True
    fields = _IDENTITY + _BY_KIND.get(kind, ())
    if kind == ("v1", "Secret"):
        changes = mutable_secrets and not is_immutable
        fields += ("type",) if changes else ("type", "data", "stringData")
    if kind == ("v1", "ConfigMap") and (is_immutable or not mutable_config_maps):
        fields += ("data", "binaryData")
    return tuple(tuple(field.split(".")) for field in fields)
