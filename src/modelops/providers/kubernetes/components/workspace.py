"""The Dask cluster: who may talk to it, its scheduler, and how it's watched and bounded."""

import pulumi
import pulumi_kubernetes as kubernetes
from pulumi_kubernetes.apiextensions import CustomResource

from modelops.contracts import Address, BindingOutputs
from modelops.providers.base import ResourcePlan
from modelops.providers.declaring import Bindings
from modelops.providers.kubernetes import commands, names, pods
from modelops.providers.kubernetes.components.certificates import issue
from modelops.providers.kubernetes.components.cluster import SKIP_AWAIT, Cluster
from modelops.providers.needs import CERTIFICATE_BINDING
from modelops.services.dask_settings import tls_env

_UNMOVED = {"cluster-autoscaler.kubernetes.io/safe-to-evict": "false"}
"""Annotation of pods that an autoscaler shouldn't move for the sake of fewer nodes."""


class Scheduler(pulumi.ComponentResource):
    """The Dask scheduler, and the CA of everybody who may talk to it."""

    bindings: Bindings

    def __init__(self, plan: ResourcePlan, cluster: Cluster) -> None:
        super().__init__(plan.type, plan.name)
        part = pods.Part(
            plan.properties["env"],
            names.SCHEDULER,
            names.SCHEDULER_ROLE,
            {names.APP_LABEL: names.SCHEDULER_APP},
        )
        issued = issue(cluster, part, names.DASK_TLS, [names.SCHEDULER], below=self)
        ports = {"tls": names.SCHEDULER_PORT, "dashboard": names.DASHBOARD_PORT}
        service = cluster.service(part, names.SCHEDULER, ports, below=self)
        container = pods.container(
            "scheduler",
            plan.properties,
            plan.properties["command"],
            env=commands.SCHEDULER,
            mounts={names.DASK_MOUNT: "dask-tls:ro"},
            ports=[
                *({"name": name, "containerPort": number} for name, number in ports.items()),
                pods.metrics_port(),
            ],
            **pods.probes(),
        )
        spec = pods.pod_spec(plan.properties, [container], [pods.dask_volume()])
        deployment = cluster.deployment(
            part,
            plan.name,
            issued.fingerprint.apply(
                lambda value: pods.template(part, spec, {**_UNMOVED, "modelops/certificate": value})
            ),
            below=self,
            after=(issued.secret, service),
        )
        host = names.host(names.SCHEDULER, cluster.namespace)
        self.bindings = pulumi.Output.all(issued.fingerprint, deployment.urn).apply(
            lambda of: _bindings(host, of[0])
        )
        self.register_outputs({})


class Quota(pulumi.ComponentResource):
    """The most that all pods of the environment may ask for."""

    bindings: Bindings

    def __init__(self, plan: ResourcePlan, cluster: Cluster) -> None:
        super().__init__(plan.type, plan.name)
        part = pods.Part(plan.properties["env"], names.MODELOPS, "quota")
        cluster.make(
            kubernetes.core.v1.ResourceQuota,
            part,
            plan.name,
            below=self,
            spec={"hard": plan.properties["hard"]},
        )
        self.bindings = pulumi.Output.from_input(BindingOutputs())
        self.register_outputs({})


class ServiceMonitor(pulumi.ComponentResource):
    """Where the Prometheus operator finds the metrics of scheduler, workers and runs."""

    bindings: Bindings

    def __init__(self, plan: ResourcePlan, cluster: Cluster) -> None:
        super().__init__(plan.type, plan.name)
        properties = plan.properties
        part = pods.Part(properties["env"], names.METRICS, "metrics")
        service = cluster.make(
            kubernetes.core.v1.Service,
            part,
            plan.name,
            below=self,
            annotations=SKIP_AWAIT,
            spec={
                "clusterIP": "None",
                "selector": {
                    names.PART_OF_LABEL: names.MODELOPS,
                    names.INSTANCE_LABEL: properties["env"],
                },
                "ports": [{"name": "metrics", "port": names.METRICS_PORT, "targetPort": "metrics"}],
            },
        )
        watched = pods.Part(properties["env"], names.METRICS, "metrics", dict(properties["labels"]))
        cluster.make(
            CustomResource,
            watched,
            plan.name,
            below=self,
            after=(service,),
            api_version="monitoring.coreos.com/v1",
            kind="ServiceMonitor",
            spec={
                "selector": {"matchLabels": part.selector},
                "endpoints": [
                    {"port": "metrics", "interval": f"{properties['interval_seconds']}s"}
                ],
                "podTargetLabels": [
                    names.ENV_LABEL,
                    names.RUN_LABEL,
                    names.COMPONENT_LABEL,
                    names.GROUP_LABEL,
                ],
            },
        )
        self.bindings = pulumi.Output.from_input(BindingOutputs())
        self.register_outputs({})


def _bindings(host: str, fingerprint: str) -> BindingOutputs:
    address = Address(host, names.SCHEDULER_PORT, "tls")
    return BindingOutputs(
        env={
            "DASK_SCHEDULER": str(address),
            CERTIFICATE_BINDING: fingerprint,
            **tls_env(names.DASK_MOUNT, "client"),
        },
        addresses={
            names.SCHEDULER: address,
            "dask-dashboard": Address(host, names.DASHBOARD_PORT, "https"),
        },
    )
