"""The provider seam: plans as pure data, and the plugin that makes and declares them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from modelops.contracts import BindingOutputs, RunPlan
from modelops.spec.plan import CompiledPlan

if TYPE_CHECKING:
    from pulumi import Output


DATABASE_BINDING = "DATABASE_URL_"
"""What the bindings of databases begin with; a run knows its own as DATABASE_URL."""


class Component(StrEnum):
    """The four stacks, in the order in which they are brought up."""

    REGISTRY = "registry"
    INFRA = "infra"
    WORKSPACE = "workspace"
    ADAPTIVE = "adaptive"


@dataclass(frozen=True)
class ResourcePlan:
    """One component of a stack: what it is, its name, and all that decides how it is made.

    `properties` are JSON. `needs` names the bindings of earlier stacks that it reads.
    """

    type: str
    name: str
    properties: Mapping[str, Any] = field(default_factory=dict)
    needs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "properties", MappingProxyType(dict(self.properties)))


@dataclass(frozen=True)
class StackPlan:
    """One stack: its component, the run that it is for (adaptive only), its resources in order."""

    component: Component
    resources: tuple[ResourcePlan, ...]
    run_id: str | None = None
    algorithm: str | None = None


@dataclass(frozen=True)
class ProviderPlan:
    """What a provider made of a CompiledPlan: pure data for every stack, printable.

    `stacks` come in the order in which they are brought up; there is one adaptive stack for each
    algorithm whose code is pinned by a digest.
    """

    provider: str
    env: str
    stacks: tuple[StackPlan, ...]

    def stack(self, component: Component) -> StackPlan:
        """Return the plan of a stack that exists once (all but `adaptive`)."""
        return next(stack for stack in self.stacks if stack.component is component)

    def runs(self) -> tuple[StackPlan, ...]:
        """Return the plans of the adaptive stacks."""
        return tuple(stack for stack in self.stacks if stack.component is Component.ADAPTIVE)


@runtime_checkable
class ProviderPlugin(Protocol):
    """One cloud, or this machine; found by the entry-point group `modelops.providers`.

    Guarantees that every implementation keeps:
    - `compile` is pure: no I/O, and equal plans give equal provider plans.
    - `declare` makes the resources of its stack and nothing else; what it returns includes nothing
      secret, only references.
    """

    name: str

    def compile(self, plan: CompiledPlan) -> ProviderPlan:
        """Turn a plan into this provider's resources.

        Raises:
            ProviderError: if the provider can't do what the plan asks for.
        """
        ...

    def declare(self, stack: StackPlan, upstream: BindingOutputs) -> Output[BindingOutputs]:
        """Declare a stack's resources; called inside the stack's own Pulumi program.

        `upstream` is what the earlier stacks handed on. The result is what this stack adds to it.
        """
        ...

    def look(self, outputs: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the outputs of one resource as they are now, without the engine.

        `alive` and `exists` say whether what a resource stands for is there.
        """
        ...

    def delete_data(self, plan: ProviderPlan) -> tuple[str, ...]:
        """Delete the data that `down` keeps (bundles, databases, results); return what went."""
        ...

    def log_paths(self, plan: ProviderPlan) -> Mapping[str, str]:
        """Return where the parts' logs can be read: part → path or URL."""
        ...


def database_binding(name: str) -> str:
    """Return the binding that holds a database's URL, for one of possibly several databases."""
    return f"{DATABASE_BINDING}{name.upper().replace('-', '_')}"


def run_plans(plan: CompiledPlan) -> tuple[tuple[str, RunPlan], ...]:
    """Return (run-id, plan) of every algorithm whose code is pinned by a digest."""
    runs = []
    for algorithm in plan.algorithms:
        if algorithm.bundle.ref is not None:
            run = algorithm.pinned(algorithm.bundle.ref)
            runs.append((algorithm.run_id or run.default_run_id(), run))
    return tuple(runs)
