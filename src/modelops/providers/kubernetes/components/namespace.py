"""The namespace: who its pods are, and who may reach whom."""

from collections.abc import Sequence

import pulumi
import pulumi_kubernetes as kubernetes

from modelops.contracts import BindingOutputs
from modelops.providers.base import ResourcePlan
from modelops.providers.declaring import Bindings
from modelops.providers.kubernetes import names
from modelops.providers.kubernetes.components.cluster import Cluster
from modelops.providers.kubernetes.pods import Manifest, Part
from modelops.providers.kubernetes.stores import NAMESPACE_BINDING

_OURS = (names.SCHEDULER_ROLE, names.WORKER_ROLE, names.RUNNER_ROLE)


class Namespace(pulumi.ComponentResource):
    """The namespace of an environment, its service account and its network policies."""

    bindings: Bindings

    def __init__(self, plan: ResourcePlan, cluster: Cluster) -> None:
        super().__init__(plan.type, plan.name)
        self._cluster, properties = cluster, plan.properties
        self._part = Part(properties["env"], names.MODELOPS, "namespace")
        self._after: tuple[pulumi.Resource, ...] = ()
        if properties["create"]:
            self._after = (cluster.make_namespace(self._part, below=self),)
        cluster.make(
            kubernetes.core.v1.ServiceAccount,
            self._part,
            names.SERVICE_ACCOUNT,
            below=self,
            after=self._after,
            annotations=properties["annotations"],
            automount_service_account_token=False,
        )
        for name, spec in _policies().items():
            self._policy(name, spec)
        self.bindings = pulumi.Output.from_input(
            BindingOutputs(env={NAMESPACE_BINDING: cluster.namespace})
        )
        self.register_outputs({})

    def _policy(self, name: str, spec: Manifest) -> None:
        self._cluster.make(
            kubernetes.networking.v1.NetworkPolicy,
            self._part,
            name,
            below=self,
            after=self._after,
            spec=spec,
        )


def _policies() -> dict[str, Manifest]:
    """Return the policies: nobody reaches anything but as said here."""
    return {
        "default-deny": {"podSelector": {}, "policyTypes": ["Ingress"]},
        # They answer, and ask nobody.
        "no-egress": {
            "podSelector": _roles([names.REGISTRY_ROLE, names.OBJECTS_ROLE, names.DATABASE_ROLE]),
            "policyTypes": ["Egress"],
        },
        # Prometheus is elsewhere.
        "metrics": _let_in((*_OURS, names.SCALER_ROLE), (), [names.METRICS_PORT]),
        "scheduler": _let_in(
            [names.SCHEDULER_ROLE],
            [names.WORKER_ROLE, names.RUNNER_ROLE, names.SCALER_ROLE],
            [names.SCHEDULER_PORT],
        ),
        # Dask's workers listen where they like.
        "workers": _let_in([names.WORKER_ROLE], _OURS, ()),
        "registry": _let_in(
            [names.REGISTRY_ROLE], [names.WORKER_ROLE, names.RUNNER_ROLE], [names.REGISTRY_PORT]
        ),
        "databases": _let_in([names.DATABASE_ROLE], [names.RUNNER_ROLE], [names.DATABASE_PORT]),
    }


def _let_in(to: Sequence[str], those: Sequence[str], ports: Sequence[int]) -> Manifest:
    """Return a policy; without `those` everybody may, without `ports` at every one."""
    rule: Manifest = {}
    if those:
        rule["from"] = [{"podSelector": _roles(those)}]
    if ports:
        rule["ports"] = [{"protocol": "TCP", "port": port} for port in ports]
    return {"podSelector": _roles(to), "policyTypes": ["Ingress"], "ingress": [rule]}


def _roles(roles: Sequence[str]) -> Manifest:
    chosen = {"key": names.COMPONENT_LABEL, "operator": "In", "values": list(roles)}
    return {"matchExpressions": [chosen]}
