"""`spec.provider`: which provider, and the keys that belong to it."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal, Self

from pydantic import (
    ConfigDict,
    Field,
    SerializeAsAny,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)

from modelops.spec.models.base import Duration, Label, Part, Text, matching, never
from modelops.spec.models.kubernetes import (
    AccessMode,
    Cache,
    GpuNodes,
    Images,
    Needs,
    Nodes,
    Quota,
    RegistryLogin,
    ServiceMonitor,
    StoreAccess,
    Tolerations,
    Volumes,
    WorkloadIdentity,
)
from modelops.spec.source import Reading

LOCAL = "local"
"""The provider that everybody has: this machine."""


class Provider(Part):
    """Where it runs: `local`, `kubernetes`, `azure` or any installed plugin.

    Every other key belongs to the provider, which says what its keys are.
    """

    model_config = ConfigDict(extra="allow")

    name: Text = Field(description="local, kubernetes, azure or the name of an installed plugin.")

    @property
    def options(self) -> dict[str, Any]:
        """The keys that belong to the provider, as plain data with defaults filled in."""
        stated = self.model_dump(by_alias=True, exclude={"name"}, exclude_none=True)
        # What no model knows is kept as it is: null may mean something to its owner.
        return {**stated, **(self.model_extra or {})}


class ProviderOptions(Provider):
    """What a provider's model of its own keys is derived from: unknown keys are refused.

    A plugin names its model as `options_model`. Each key has a description, which errors, the JSON
    Schema and thereby editors show.
    """

    model_config = ConfigDict(extra="forbid")


class LocalOptions(ProviderOptions):
    """This machine; it has no settings of its own."""


class KubernetesOptions(ProviderOptions):
    """A Kubernetes cluster that is there already."""

    kubeconfig: Text | None = Field(
        default=None,
        description="The file that says how to reach it. Default: as kubectl finds it.",
    )
    context: Text | None = Field(
        default=None, description="Which of the file's contexts. Default: its current one."
    )
    storage_class: Text | None = Field(
        default=None,
        alias="storageClass",
        description="What volumes are made with. Default: the cluster's own default.",
    )
    namespace: Label | None = Field(
        default=None, description="Where the workspace lives. Default: modelops-dask-{env}."
    )
    create_namespace: bool = Field(
        default=True,
        alias="createNamespace",
        description="false: the namespace is there already, and stays as it is.",
    )
    external: Literal[True] = Field(
        default=True, description="Always true: the cluster is bound to, never created."
    )
    access_mode: AccessMode = Field(
        default="ReadWriteMany",
        alias="accessMode",
        description="Of volumes that several pods share. ReadWriteOnce does where all of them are "
        "on one node.",
    )
    volumes: Volumes = Field(default_factory=Volumes, description="How large volumes are.")
    cache: Cache | None = Field(
        default=None,
        description="A volume for what workers fetch and install. Default: each pod has its own.",
    )
    images: Images = Field(default_factory=Images, description="The container images.")
    scheduler: Needs = Field(default_factory=Needs, description="What the scheduler gets.")
    runner: Needs = Field(default_factory=Needs, description="What each run's own pod gets.")
    node_selector: Mapping[Text, str] = Field(
        default={}, alias="nodeSelector", description="Labels of the nodes that all pods go to."
    )
    tolerations: Tolerations = Field(
        default=(), description="Taints that the nodes of all pods may have."
    )
    spot: Nodes | None = Field(
        default=None, description="Which nodes are those of groups with `spot: true`."
    )
    gpu: GpuNodes = Field(
        default_factory=GpuNodes, description="Which nodes are those of groups with GPUs."
    )
    quota: Quota | None = Field(
        default=None, description="The most that the environment may use. Default: no limit."
    )
    workload_identity: WorkloadIdentity | None = Field(
        default=None,
        alias="workloadIdentity",
        description="How workers and runs are known to a cloud without a key.",
    )
    object_store: StoreAccess = Field(
        default_factory=StoreAccess,
        alias="objectStore",
        description="What pods are told of an s3, azure-blob or gcs object store.",
    )
    registry: RegistryLogin = Field(
        default_factory=RegistryLogin, description="How pods reach an external bundle registry."
    )
    ready_timeout: Duration = Field(
        default="10m",
        alias="readyTimeout",
        description="How long `mops up` waits for one thing in the cluster to be ready.",
    )
    grace_period: Duration = Field(
        default="2m",
        alias="gracePeriod",
        description="How long a worker that has to go may go on with what it simulates.",
    )
    service_monitor: ServiceMonitor | None = Field(
        default=None,
        alias="serviceMonitor",
        description="Has Prometheus (of the Prometheus operator) read the metrics.",
    )


class AksCluster(Part):
    """The AKS cluster: created and updated, or one that is there already."""

    model_config = ConfigDict(
        json_schema_extra=never(
            *({key: {"const": both} for key in ("managed", "external")} for both in (True, False))
        )
    )

    name: Annotated[
        str,
        matching(
            r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?",
            "a cluster's name has at most 63 letters, digits, - and _, "
            "with a letter or digit at either end",
        ),
    ] = Field(description="The cluster's name.")
    managed: bool = Field(
        default=True, description="Whether ModelOps creates, updates and deletes it."
    )
    external: bool = Field(
        default=False, description="true instead of managed: it is there already; just bind to it."
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if self.external and self.managed:
            if "managed" in self.model_fields_set:
                raise ValueError("both managed and external are true; keep one of them")
            object.__setattr__(self, "managed", False)
        elif not self.external and not self.managed:
            if "external" in self.model_fields_set:
                raise ValueError("neither managed nor external is true; choose one of them")
            object.__setattr__(self, "external", True)
        return self


class AzureOptions(ProviderOptions):
    """Microsoft Azure: a resource group with a registry, AKS, a database and a storage account."""

    subscription_id: (
        Annotated[
            str,
            matching(
                r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}",
                "a subscription's id is 32 hex digits in groups of 8-4-4-4-12; "
                "`az account show --query id` prints it",
            ),
        ]
        | None
    ) = Field(
        default=None,
        description="The subscription's id. Default: ARM_SUBSCRIPTION_ID, else that of `az login`.",
    )
    location: Annotated[
        str,
        matching(
            r"[a-z][a-z0-9]*",
            "a location is written in lower-case letters and digits, as in eastus2; "
            "`az account list-locations --query [].name` prints them",
        ),
    ] = Field(description="The region, as in eastus2.")
    resource_group: (
        Annotated[
            str,
            matching(
                r"[A-Za-z0-9_().-]{0,89}[A-Za-z0-9_()-]",
                "a resource group's name has at most 90 letters, digits, _ ( ) . and -, "
                "with no . at the end",
            ),
        ]
        | None
    ) = Field(
        default=None, description="The resource group. Default: modelops-{env}-rg-{username}."
    )
    per_user_registry: bool | None = Field(
        default=None,
        description="Whether each user has a registry of their own. Default: true in the "
        "environment dev, false in every other.",
    )
    aks: AksCluster | None = Field(
        default=None, description="The cluster. Default: one that ModelOps makes and names."
    )


KNOWN: Mapping[str, type[Provider]] = MappingProxyType(
    {LOCAL: LocalOptions, "kubernetes": KubernetesOptions, "azure": AzureOptions}
)
"""The models of the providers that the format itself knows, installed or not."""


def model_named(name: object, models: Mapping[str, type[Provider]]) -> type[Provider]:
    """Return the model of a provider's keys; one that takes any key if the provider isn't known."""
    return models.get(name, Provider) if isinstance(name, str) else Provider


def _by_name(value: Any, handler: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
    if not isinstance(value, dict):
        return handler(value)
    models = info.context.providers if isinstance(info.context, Reading) else KNOWN
    model = model_named(value.get("name"), models)
    return handler(value) if model is Provider else model.model_validate(value)


ProviderSection = Annotated[SerializeAsAny[Provider], WrapValidator(_by_name)]
"""A provider, checked by the model that its name stands for."""
