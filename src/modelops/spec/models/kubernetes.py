"""Parts of `spec.provider` of a Kubernetes cluster."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from modelops.spec.models.base import Count, Cpu, Duration, Memory, Part, SecretName, Text, matching

AccessMode = Literal["ReadWriteMany", "ReadWriteOnce"]

VariableName = Annotated[
    str,
    matching(
        r"[A-Za-z_][A-Za-z0-9_]*",
        "a variable's name has letters, digits and _ only, and begins with no digit",
    ),
]


class Toleration(Part):
    """A taint of nodes that pods tolerate; the keys are those of Kubernetes."""

    key: Text | None = Field(default=None, description="The taint's key. Default: every one.")
    operator: Literal["Exists", "Equal"] = Field(
        default="Exists", description="Equal compares the value too."
    )
    value: Text | None = Field(default=None, description="The taint's value, with Equal.")
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = Field(
        default=None, description="The taint's effect. Default: every one."
    )


Tolerations = Annotated[tuple[Toleration, ...], Field(strict=False)]


class Nodes(Part):
    """Which nodes pods go to."""

    node_selector: Mapping[Text, str] = Field(
        default={}, alias="nodeSelector", description="Labels that the nodes have."
    )
    tolerations: Tolerations = Field(default=(), description="Taints that the nodes may have.")


class GpuNodes(Nodes):
    """Which nodes pods with GPUs go to, and how their containers get at them."""

    runtime_class: Text = Field(
        default="nvidia",
        alias="runtimeClass",
        description="The runtime class of pods with NVIDIA GPUs; none where the cluster has none.",
    )


class Needs(Part):
    """What one pod gets: it is set aside, and memory is the limit as well."""

    cpu: Cpu | None = Field(default=None, description='Cores, as in "4" or "500m".')
    memory: Memory | None = Field(default=None, description='Memory, as in "2Gi".')


class Volumes(Part):
    """How large the volumes of an environment are."""

    registry: Memory = Field(default="20Gi", description="Bundles, of a registry in the cluster.")
    objects: Memory = Field(default="50Gi", description="Results, of an object store of class pvc.")
    database: Memory | None = Field(
        default=None, description="Journals, of each database. Default: by the database's size."
    )


class Cache(Part):
    """A volume that all pods share, for bundles and installed packages."""

    size: Memory = Field(default="20Gi", description="How large it is.")
    storage_class: Text | None = Field(
        default=None, alias="storageClass", description="Default: that of the other volumes."
    )
    access_mode: AccessMode | None = Field(
        default=None, alias="accessMode", description="Default: that of the other volumes."
    )


class Images(Part):
    """The container images; each is a reference, best with a digest."""

    profile: Text | None = Field(
        default=None,
        description="Which images of modelops-images.yaml: prod or dev. Default: its own.",
    )
    scheduler: Text | None = Field(default=None, description="Of the Dask scheduler.")
    worker: Text | None = Field(
        default=None, description="Of workers whose group names no image of its own."
    )
    runner: Text | None = Field(
        default=None, description="Of runs, of the scaler, and of what serves results."
    )
    registry: Text = Field(
        default="docker.io/library/registry:3", description="Of a registry in the cluster."
    )
    postgres: Text = Field(
        default="docker.io/library/postgres:17", description="Of databases in the cluster."
    )
    pull_secret: Text | None = Field(
        default=None,
        alias="pullSecret",
        description="A Secret of the namespace, of type kubernetes.io/dockerconfigjson, to pull "
        "them with.",
    )


class Quota(Part):
    """The most that all pods of the environment may ask for together."""

    cpu: Cpu | None = Field(default=None, description="Cores.")
    memory: Memory | None = Field(default=None, description="Memory.")
    pods: Count | None = Field(default=None, description="Pods.")
    gpus: Count | None = Field(default=None, description="NVIDIA GPUs.")


class WorkloadIdentity(Part):
    """How pods are known to a cloud without a key: what its webhook looks for."""

    annotations: Mapping[Text, str] = Field(
        default={},
        description="Of the service account, as in eks.amazonaws.com/role-arn, "
        "azure.workload.identity/client-id or iam.gke.io/gcp-service-account.",
    )
    pod_labels: Mapping[Text, str] = Field(
        default={},
        alias="podLabels",
        description='Of workers and runs, as in azure.workload.identity/use: "true".',
    )


class StoreAccess(Part):
    """What workers and runs are told of an object store outside of the cluster."""

    env: Mapping[VariableName, str] = Field(
        default={}, description="Variables, as in AWS_ENDPOINT_URL; nothing secret."
    )
    secret_env: Mapping[VariableName, SecretName] = Field(
        default={},
        alias="secretEnv",
        description="Variables whose values are secrets of `mops secrets`, as in "
        "AWS_SECRET_ACCESS_KEY: s3-key.",
    )


class RegistryLogin(Part):
    """How pods reach an external bundle registry."""

    username: Text | None = Field(default=None, description="As whom.")
    password_from: SecretName | None = Field(
        default=None, alias="passwordFrom", description="The secret that holds the password."
    )
    ca_from: SecretName | None = Field(
        default=None,
        alias="caFrom",
        description="The secret that holds the PEM of the CA that signed its certificate.",
    )
    insecure: bool = Field(default=False, description="Whether it speaks plain HTTP.")


class ServiceMonitor(Part):
    """What a Prometheus of the Prometheus operator is told, so that it reads the metrics."""

    interval: Duration = Field(default="30s", description="How often it reads them.")
    labels: Mapping[Text, str] = Field(
        default={}, description="Labels by which your Prometheus selects it."
    )
