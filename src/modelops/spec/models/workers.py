"""`spec.workerGroups`: shapes of worker."""

from typing import Literal, Self

from pydantic import ConfigDict, Field, model_validator

from modelops.spec.models.base import MOST, Amount, Count, Cpu, Memory, Part, Text, never


class Resources(Part):
    """What one replica may use, shared by its processes."""

    cpu: Cpu | None = Field(
        default=None, description='Cores, as in "4" or "500m". Default: no limit.'
    )
    memory: Memory | None = Field(
        default=None, description='Memory, as in "16Gi". Default: no limit.'
    )


class Image(Part):
    """The container image of the workers."""

    ref: Text = Field(description="The image's reference.")
    pull_secret: Text | None = Field(
        default=None, alias="pullSecret", description="The secret to pull it with."
    )


class Gpu(Part):
    """The GPUs of each replica."""

    vendor: Text = Field(default="nvidia", description="Who makes them.")
    count: Count = Field(default=1, description="How many each replica has.")
    model: Text | None = Field(default=None, description="Which model is needed.")


class WorkerGroup(Part):
    """One shape of worker: min to max replicas of processes × threads slots."""

    model_config = ConfigDict(
        json_schema_extra=never({"profile": {"const": "cpu"}, "gpu": {"type": "object"}})
    )

    kind: Literal["k8s-pool", "processes"] | None = Field(
        default=None, description="What it maps to. Default: the provider's own."
    )
    profile: Literal["cpu", "gpu"] | None = Field(
        default=None, description="What kind of node it needs."
    )
    min: int = Field(
        default=1, ge=0, le=MOST, description="The fewest replicas; 0 scales to nothing."
    )
    max: Count = Field(default=1, description="The most replicas. Default: min, or 1.")
    processes: Count = Field(default=1, description="Dask worker processes in each replica.")
    threads: Count = Field(default=1, description="Slots in each process.")
    spot: bool = Field(default=False, description="Cheaper nodes that may be taken away.")
    resources: Resources = Field(default_factory=Resources, description="What one replica may use.")
    image: Image | None = Field(default=None, description="The workers' container image.")
    gpu: Gpu | None = Field(default=None, description="The GPUs of each replica.")
    price: Amount | None = Field(
        default=None, description="US dollars that one replica costs in an hour."
    )

    @model_validator(mode="after")
    def _fill_max(self) -> Self:
        if "max" not in self.model_fields_set:
            object.__setattr__(self, "max", max(self.min, 1))
        return self
