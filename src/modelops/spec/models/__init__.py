"""The models of runtime.yaml, a module a part of the file.

Attributes have Python's names; `by_alias` gives the file's keys.
"""

from modelops.spec.models.algorithms import (
    Algorithm,
    Bindings,
    Entrypoint,
    Execution,
    Parameters,
    RunLimits,
    Signature,
)
from modelops.spec.models.base import Part, is_dns_label
from modelops.spec.models.infrastructure import (
    Database,
    ExternalDatabase,
    ObjectStore,
    Registry,
)
from modelops.spec.models.providers import (
    AksCluster,
    AzureOptions,
    KubernetesOptions,
    LocalOptions,
    Provider,
    ProviderOptions,
)
from modelops.spec.models.runtime import Metadata, RuntimeBody, RuntimeSpec
from modelops.spec.models.space import ParameterChoices, ParameterRange, ParameterValue, SpaceEntry
from modelops.spec.models.workers import Gpu, Image, Resources, WorkerGroup

__all__ = [
    "AksCluster",
    "Algorithm",
    "AzureOptions",
    "Bindings",
    "Database",
    "Entrypoint",
    "Execution",
    "ExternalDatabase",
    "Gpu",
    "Image",
    "KubernetesOptions",
    "LocalOptions",
    "Metadata",
    "ObjectStore",
    "ParameterChoices",
    "ParameterRange",
    "ParameterValue",
    "Parameters",
    "Part",
    "Provider",
    "ProviderOptions",
    "Registry",
    "Resources",
    "RunLimits",
    "RuntimeBody",
    "RuntimeSpec",
    "Signature",
    "SpaceEntry",
    "WorkerGroup",
    "is_dns_label",
]
