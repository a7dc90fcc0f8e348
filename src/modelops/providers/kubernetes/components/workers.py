"""Worker groups, and what scales them with the load."""

import json

import pulumi
import pulumi_kubernetes as kubernetes

from modelops.contracts import BindingOutputs
from modelops.providers.base import ResourcePlan
from modelops.providers.declaring import Bindings, needed
from modelops.providers.kubernetes import commands, names, pods
from modelops.providers.kubernetes.components.cluster import Cluster
from modelops.providers.needs import CERTIFICATE_BINDING

_FROM_THE_POD: tuple[pods.Manifest, ...] = tuple(
    {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}
    for name, path in (("POD_NAME", "metadata.name"), ("POD_IP", "status.podIP"))
)


class WorkerGroup(pulumi.ComponentResource):
    """A Deployment of the group's replicas, which nobody takes away more than one of at once."""

    bindings: Bindings

    def __init__(self, plan: ResourcePlan, known: Bindings, cluster: Cluster) -> None:
        super().__init__(plan.type, plan.name)
        properties = plan.properties
        part = pods.Part(
            properties["env"],
            names.WORKERS,
            names.WORKER_ROLE,
            {names.APP_LABEL: names.WORKER_APP, names.GROUP_LABEL: properties["group"]},
        )
        is_scaled = properties["min"] < properties["max"]
        cluster.deployment(
            part,
            plan.name,
            needed(plan, known).apply(lambda bindings: _template(plan, part, bindings)),
            below=self,
            replicas=properties["min"],
            # No pod more than there may be: nodes, GPUs and quotas are counted out.
            strategy={
                "type": "RollingUpdate",
                "rollingUpdate": {"maxSurge": 0, "maxUnavailable": "25%"},
            },
            # Their number is the scaler's to choose, once they are there.
            ignore=("spec.replicas",) if is_scaled else (),
        )
        cluster.make(
            kubernetes.policy.v1.PodDisruptionBudget,
            part,
            plan.name,
            below=self,
            spec={"maxUnavailable": 1, "selector": {"matchLabels": part.selector}},
        )
        self.bindings = pulumi.Output.from_input(BindingOutputs())
        self.register_outputs({})


class Scaler(pulumi.ComponentResource):
    """What chooses how many replicas groups have; it alone may call the API."""

    bindings: Bindings

    def __init__(self, plan: ResourcePlan, known: Bindings, cluster: Cluster) -> None:
        super().__init__(plan.type, plan.name)
        properties = plan.properties
        part = pods.Part(properties["env"], names.SCALER, names.SCALER_ROLE)
        text = json.dumps(properties["groups"], sort_keys=True)
        config = cluster.make(
            kubernetes.core.v1.ConfigMap,
            part,
            plan.name,
            below=self,
            data={names.SCALER_GROUPS_KEY: text},
        )
        deployments = [group["deployment"] for group in properties["groups"]]
        allowed = self._account(part, cluster, deployments)
        cluster.deployment(
            part,
            plan.name,
            needed(plan, known).apply(lambda bindings: _scaler(plan, part, text, bindings)),
            below=self,
            after=(config, *allowed),
        )
        self.bindings = pulumi.Output.from_input(BindingOutputs())
        self.register_outputs({})

    def _account(
        self, part: pods.Part, cluster: Cluster, deployments: list[str]
    ) -> tuple[pulumi.Resource, ...]:
        name = names.SCALER_ACCOUNT
        rbac = kubernetes.rbac.v1
        account = cluster.make(
            kubernetes.core.v1.ServiceAccount,
            part,
            name,
            below=self,
            automount_service_account_token=False,
        )
        role = cluster.make(rbac.Role, part, name, below=self, rules=_rules(deployments))
        binding = cluster.make(
            rbac.RoleBinding,
            part,
            name,
            below=self,
            after=(account, role),
            role_ref={"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
            subjects=[{"kind": "ServiceAccount", "name": name, "namespace": cluster.namespace}],
        )
        return account, role, binding


def _template(plan: ResourcePlan, part: pods.Part, bindings: BindingOutputs) -> pods.Manifest:
    properties = plan.properties
    own = set(properties["secret_variables"])
    container = pods.container(
        "worker",
        properties,
        properties["command"],
        env={**pods.binding_env(bindings, own), **commands.WORKER},
        env_from=[
            *_FROM_THE_POD,
            *pods.secret_variables(properties["secret_variables"]),
        ],
        mounts={
            names.DASK_MOUNT: "dask-tls:ro",
            **pods.simulating_mounts(properties),
            **pods.binding_mounts(bindings, own),
        },
        ports=[pods.metrics_port()],
        **pods.probes(),
    )
    volumes = [
        pods.dask_volume(),
        *pods.simulating_volumes(properties),
        *pods.binding_volumes(bindings, own),
    ]
    spec = pods.pod_spec(
        properties,
        [container],
        volumes,
        terminationGracePeriodSeconds=properties["end_seconds"],
        **pods.ADOPTS_ORPHANS,
    )
    return pods.template(_with_identity(part, plan), spec, _certificate(bindings))


def _scaler(
    plan: ResourcePlan, part: pods.Part, groups: str, bindings: BindingOutputs
) -> pods.Manifest:
    container = pods.container(
        "scaler",
        plan.properties,
        plan.properties["command"],
        env={**bindings.env, **commands.EVERYWHERE},
        mounts={
            names.DASK_MOUNT: "dask-tls:ro",
            names.SCALER_MOUNT: "groups:ro",
            names.HOME_MOUNT: "home",
        },
        ports=[pods.metrics_port()],
        **pods.probes(),
    )
    spec = pods.pod_spec(
        plan.properties,
        [container],
        [
            pods.dask_volume(),
            pods.config_volume("groups", names.SCALER),
            {"name": "home", "emptyDir": {}},
        ],
        account=names.SCALER_ACCOUNT,
        may_call_api=True,
    )
    # It reads its groups once.
    return pods.template(part, spec, {**_certificate(bindings), "modelops/groups": groups})


def _rules(deployments: list[str]) -> list[pods.Manifest]:
    apps, chosen = ["apps"], {"resourceNames": deployments}
    return [
        {"apiGroups": apps, "resources": ["deployments"], "verbs": ["list"]},
        {"apiGroups": apps, "resources": ["deployments"], "verbs": ["get", "patch"], **chosen},
        {
            "apiGroups": apps,
            "resources": ["deployments/scale"],
            "verbs": ["get", "patch"],
            **chosen,
        },
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "patch"]},
    ]


def _certificate(bindings: BindingOutputs) -> dict[str, str]:
    return {"modelops/certificate": bindings.env[CERTIFICATE_BINDING]}


def _with_identity(part: pods.Part, plan: ResourcePlan) -> pods.Part:
    identity = plan.properties["identity"]
    return pods.Part(part.env, part.name, part.role, {**identity, **part.more})
