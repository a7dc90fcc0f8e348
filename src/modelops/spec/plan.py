"""The CompiledPlan: what a RuntimeSpec means, before any cloud is thought of.

Everything is frozen and in the order of the spec, so that a plan prints the same each time.
Sizes are in bytes, times in seconds, CPU in cores.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from modelops.contracts import BundleRef, Limits, RunPlan, SearchSpace


@dataclass(frozen=True)
class ProviderChoice:
    """Which provider, and the keys of `spec.provider` that belong to it alone."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "options", MappingProxyType(dict(self.options)))


@dataclass(frozen=True)
class RegistryPlan:
    """Where bundles live. `kind` None leaves it to the provider; `url` is an external one."""

    kind: str | None = None
    managed: bool = True
    url: str | None = None
    prefix: str = ""


@dataclass(frozen=True)
class ObjectStorePlan:
    """Where results live. `kind` None leaves it to the provider."""

    name: str
    kind: str | None = None
    managed: bool = True
    bucket: str | None = None


@dataclass(frozen=True)
class DatabasePlan:
    """A database for journals. `engine` None leaves it to the provider."""

    name: str
    engine: str | None = None
    managed: bool = True


@dataclass(frozen=True)
class WorkerGroupPlan:
    """One shape of worker: `minimum` to `maximum` replicas of `processes` × `threads` slots.

    `memory` is that of one replica, shared by its processes; None means no limit.
    """

    name: str
    minimum: int
    maximum: int
    processes: int = 1
    threads: int = 1
    cpu: float | None = None
    memory: int | None = None


@dataclass(frozen=True)
class BundleSource:
    """Where an algorithm's code comes from: exactly one of a directory to push and a digest."""

    directory: Path | None = None
    ref: BundleRef | None = None

    def __post_init__(self) -> None:
        if (self.directory is None) == (self.ref is None):
            raise ValueError("a bundle is a directory or a reference, one of them")


@dataclass(frozen=True)
class AlgorithmPlan:
    """One algorithm: a run's plan but for the bundle's digest, and what it's bound to."""

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
    run_id: str | None = None

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
