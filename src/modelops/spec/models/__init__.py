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
    Provider,
    Registry,
)
from modelops.spec.models.runtime import Metadata, RuntimeBody, RuntimeSpec
from modelops.spec.models.space import ParameterChoices, ParameterRange, ParameterValue, SpaceEntry
from modelops.spec.models.workers import Gpu, Image, Resources, WorkerGroup

__all__ = [
    "Algorithm",
    "Bindings",
    "Database",
    "Entrypoint",
    "Execution",
    "ExternalDatabase",
    "Gpu",
    "Image",
    "Metadata",
    "ObjectStore",
    "ParameterChoices",
    "ParameterRange",
    "ParameterValue",
    "Parameters",
    "Part",
    "Provider",
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
