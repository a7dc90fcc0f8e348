"""The RuntimeSpec: the whole file."""

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import Field, PrivateAttr, model_validator

from modelops.spec.models.algorithms import Algorithm
from modelops.spec.models.base import Label, Part
from modelops.spec.models.infrastructure import Database, ObjectStore, Registry
from modelops.spec.models.providers import Provider, ProviderSection
from modelops.spec.models.workers import WorkerGroup
from modelops.spec.source import Reading, Source


class Metadata(Part):
    """What this runtime is called."""

    name: Label = Field(description="A DNS label.")
    env: Label = Field(default="dev", description="dev, staging, prod or any DNS label.")


class RuntimeBody(Part):
    """What is wanted: infrastructure and algorithms."""

    provider: ProviderSection = Field(description="Where it runs.")
    registry: Registry = Field(default_factory=Registry, description="Where bundles are stored.")
    object_store: ObjectStore = Field(
        default_factory=ObjectStore, alias="objectStore", description="Where results are stored."
    )
    databases: Mapping[Label, Database] = Field(
        default={}, description="Where journals are kept, by name. Default: one named journal."
    )
    worker_groups: Mapping[Label, WorkerGroup] = Field(
        default={},
        alias="workerGroups",
        description="Shapes of worker, by name. Default: one named default, with two replicas.",
    )
    algorithms: Mapping[Label, Algorithm] = Field(default={}, description="What runs, by name.")

    @model_validator(mode="after")
    def _fill_references(self) -> Self:
        if not self.databases:
            object.__setattr__(self, "databases", {"journal": Database()})
        if not self.worker_groups:
            object.__setattr__(self, "worker_groups", {"default": WorkerGroup(min=2, max=2)})
        first = {
            "workers": next(iter(self.worker_groups)),
            "database": next(iter(self.databases)),
            "object_store": self.object_store.name,
        }
        filled = {}
        for name, algorithm in self.algorithms.items():
            bindings = algorithm.bindings
            update = {key: getattr(bindings, key) or value for key, value in first.items()}
            filled[name] = algorithm.model_copy(
                update={"bindings": bindings.model_copy(update=update)}
            )
        object.__setattr__(self, "algorithms", filled)
        return self


class RuntimeSpec(Part):
    """The file runtime.yaml: which provider, which workers and stores, which algorithms.

    Frozen; every default that depends on another part is filled in. `load` makes one that knows
    where in its file each part stands, which errors of later steps show.
    """

    api_version: Literal["modelops/v1"] = Field(
        alias="apiVersion", description="The version of this format."
    )
    kind: Literal["Runtime"] = Field(description="Always Runtime.")
    metadata: Metadata = Field(description="What this runtime is called.")
    spec: RuntimeBody = Field(description="What is wanted.")

    _source: Source = PrivateAttr(default_factory=Source)
    _instead_of: Provider | None = PrivateAttr(default=None)

    def model_post_init(self, context: Any, /) -> None:
        """Keep the places that `load` hands over as the context of the validation."""
        if isinstance(context, Reading):
            self._source = context.source

    @property
    def source(self) -> Source:
        """Where the parts were written; empty for a spec that was made in code."""
        return self._source

    @property
    def instead_of(self) -> Provider | None:
        """The provider that the file names, if the spec is for another one."""
        return self._instead_of

    def at(self, *, env: str | None = None, provider: Provider | None = None) -> Self:
        """Return the same spec for another environment or another provider."""
        metadata = self.metadata.model_copy(update={"env": env} if env else {})
        body = self.spec.model_copy(update={"provider": provider} if provider else {})
        spec = self.model_copy(update={"metadata": metadata, "spec": body})
        if provider is not None and provider.name != self.spec.provider.name:
            spec._instead_of = self.spec.provider  # noqa: SLF001 — a copy of this spec
        return spec
