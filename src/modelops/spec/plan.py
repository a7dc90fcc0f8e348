"""The CompiledPlan: what a RuntimeSpec means, before any cloud is thought of.

Everything is frozen and in the order of the spec, so that a plan prints the same each time.
Sizes are in bytes, times in seconds, CPU in cores.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from modelops.contracts import (
    BundleRef,
    BundleTag,
    Execution,
    Limits,
    PublicKey,
    RunPlan,
    SearchSpace,
    TrialOrder,
)


@dataclass(frozen=True)
class ProviderChoice:
    """Which provider, and the keys of `spec.provider` that belong to it alone.

    `instead_of` is the provider that the file names, if another was asked for.
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    instead_of: "ProviderChoice | None" = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "options", MappingProxyType(dict(self.options)))


@dataclass(frozen=True)
class RegistryPlan:
    """Where bundles live. `kind` None leaves it to the provider; `url` is an external one.

    `auth` (`htpasswd` or None) and `tls` are of kind `distribution` only.
    """

    kind: str | None = None
    managed: bool = True
    url: str | None = None
    prefix: str = ""
    auth: str | None = None
    tls: bool = False


@dataclass(frozen=True)
class ObjectStorePlan:
    """Where results live. `kind` None leaves it to the provider."""

    name: str
    kind: str | None = None
    managed: bool = True
    bucket: str | None = None


@dataclass(frozen=True)
class DatabasePlan:
    """A database for journals. `engine` None leaves it to the provider.

    `url_from` names the secret that holds the URL of a database that is there already.
    """

    name: str
    engine: str | None = None
    managed: bool = True
    url_from: str | None = None
    size: str | None = None
    containerized: bool = False


@dataclass(frozen=True)
class ImagePlan:
    """A container image, and the name of the secret to pull it with."""

    ref: str
    pull_secret: str | None = None


@dataclass(frozen=True)
class GpuPlan:
    """The GPUs of each replica."""

    vendor: str
    count: int
    model: str | None = None


@dataclass(frozen=True)
class WorkerGroupPlan:
    """One shape of worker: `minimum` to `maximum` replicas of `processes` × `threads` slots.

    `memory` is that of one replica, shared by its processes; None means no limit. `kind`, `profile`
    and `image` None leave it to the provider. `price` is what a replica costs in an hour, in US
    dollars, or None.
    """

    name: str
    minimum: int
    maximum: int
    processes: int = 1
    threads: int = 1
    cpu: float | None = None
    memory: int | None = None
    kind: str | None = None
    profile: str | None = None
    spot: bool = False
    image: ImagePlan | None = None
    gpu: GpuPlan | None = None
    price: float | None = None

    @property
    def slot_price(self) -> float | None:
        """What one slot costs in an hour, in US dollars; None if nobody said."""
        return None if self.price is None else self.price / (self.processes * self.threads)


@dataclass(frozen=True)
class BundleSource:
    """Where an algorithm's code comes from: a directory to push, a digest, or a tag to resolve."""

    directory: Path | None = None
    ref: BundleRef | None = None
    tag: BundleTag | None = None

    def __post_init__(self) -> None:
        if sum(item is not None for item in (self.directory, self.ref, self.tag)) != 1:
            raise ValueError("a bundle is a directory, a reference or a tag, one of them")


@dataclass(frozen=True)
class AlgorithmPlan:
    """One algorithm: a run's plan but for the bundle's digest, and what it's bound to.

    `public_key` is the key that the bundle must be signed with, or None.
    """

    name: str
    type: str
    workers: str
    database: str
    object_store: str
    bundle: BundleSource
    space: SearchSpace
    targets: tuple[str, ...]
    model: str | None
    seed: int
    n_trials: int
    n_parallel: int
    replicates: int
    options: Mapping[str, Any]
    limits: Limits
    execution: Execution = field(default_factory=Execution)
    order: TrialOrder = TrialOrder.ASK
    run_id: str | None = None
    public_key: PublicKey | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "options", MappingProxyType(dict(self.options)))

    def pinned(self, ref: BundleRef) -> RunPlan:
        """Return the plan of the run with the code that `ref` pins."""
        return RunPlan(
            algorithm=self.name,
            type=self.type,
            bundle_ref=ref,
            space=self.space,
            targets=self.targets,
            model=self.model,
            seed=self.seed,
            n_trials=self.n_trials,
            n_parallel=self.n_parallel,
            replicates=self.replicates,
            options=self.options,
            limits=self.limits,
            execution=self.execution,
            order=self.order,
            public_key=self.public_key,
        )


@dataclass(frozen=True)
class CompiledPlan:
    """A RuntimeSpec with its references resolved and its defaults filled in."""

    name: str
    env: str
    provider: ProviderChoice
    registry: RegistryPlan
    object_store: ObjectStorePlan
    databases: tuple[DatabasePlan, ...]
    worker_groups: tuple[WorkerGroupPlan, ...]
    algorithms: tuple[AlgorithmPlan, ...]
