"""The provider seam: plans as pure data, and the plugin that makes and declares them."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol, Self, runtime_checkable

from modelops.contracts import BindingOutputs, RunPlan
from modelops.core.secrets import SecretStore
from modelops.providers.health import PartHealth
from modelops.spec.models import ProviderOptions
from modelops.spec.plan import CompiledPlan

if TYPE_CHECKING:
    from pulumi import Output


DATABASE_BINDING = "DATABASE_URL_"
"""What the bindings of databases begin with; a run knows its own as DATABASE_URL."""

OBJECT_STORE_BINDING = "OBJECT_STORE_URL"
REGISTRY_BINDINGS = "MODELOPS_BUNDLE_"
"""What the bindings by which the bundle registry is reached begin with."""

DASK_BINDINGS = "DASK_"
"""What the bindings by which a client reaches the Dask cluster begin with."""

RUN_PART = "run-"
"""What the names of runs' parts begin with."""


class Component(StrEnum):
    """The four stacks, in the order in which they are brought up."""

    REGISTRY = "registry"
    INFRA = "infra"
    WORKSPACE = "workspace"
    ADAPTIVE = "adaptive"


@dataclass(frozen=True)
class ResourcePlan:
    """One component of a stack: what it is, its name, and all that decides how it is made.

    `properties` are JSON. `needs` names the bindings that it reads, `gives` those that it hands on;
    none reads what no earlier one gives.
    """

    type: str
    name: str
    properties: Mapping[str, Any] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    gives: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "properties", MappingProxyType(dict(self.properties)))

    def to_json(self) -> dict[str, Any]:
        """Return the resource as JSON."""
        return {
            "type": self.type,
            "name": self.name,
            "properties": dict(self.properties),
            "needs": list(self.needs),
            "gives": list(self.gives),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote."""
        needs, gives = tuple(value["needs"]), tuple(value["gives"])
        return cls(value["type"], value["name"], value["properties"], needs, gives)


@dataclass(frozen=True)
class StackPlan:
    """One stack: its component, the run that it is for (adaptive only), its resources in order."""

    component: Component
    resources: tuple[ResourcePlan, ...]
    run_id: str | None = None
    algorithm: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the stack as JSON, its resources in order."""
        return {
            "component": str(self.component),
            "run_id": self.run_id,
            "algorithm": self.algorithm,
            "resources": [resource.to_json() for resource in self.resources],
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote."""
        resources = tuple(map(ResourcePlan.from_json, value["resources"]))
        return cls(Component(value["component"]), resources, value["run_id"], value["algorithm"])


@dataclass(frozen=True)
class ProviderPlan:
    """What a provider made of a CompiledPlan: pure data for every stack, printable.

    `stacks` come in the order in which they are brought up; there is one adaptive stack for each
    algorithm whose code is pinned by a digest. `notes` say in words what the provider does
    otherwise than the spec asks, a line each.
    """

    provider: str
    env: str
    stacks: tuple[StackPlan, ...]
    notes: tuple[str, ...] = ()

    def stack(self, component: Component) -> StackPlan:
        """Return the plan of a stack that exists once (all but `adaptive`)."""
        return next(stack for stack in self.stacks if stack.component is component)

    def runs(self) -> tuple[StackPlan, ...]:
        """Return the plans of the adaptive stacks."""
        return tuple(stack for stack in self.stacks if stack.component is Component.ADAPTIVE)


@dataclass(frozen=True)
class StackView:
    """One stack that is up, as its state has it.

    Attributes:
        component: which of the four.
        resources: name → outputs, as they were when the engine last looked.
        bindings: what it handed on.
        run_id: the run that it is for (adaptive only).
    """

    component: Component
    resources: Mapping[str, Mapping[str, Any]]
    bindings: BindingOutputs
    run_id: str | None = None


@runtime_checkable
class ProviderPlugin(Protocol):
    """One cloud, or this machine; found by the entry-point group `modelops.providers`.

    Guarantees that every implementation keeps; `modelops.testing.providers` checks them:
    - `compile` is pure: it reads and writes nothing, asks nobody and doesn't import pulumi; equal
      plans give equal provider plans and the same JSON, in every process. No secret's value is in
      it. What the provider can't do is a ProviderError with a hint, never passed over.
    - A ProviderPlan has the registry, infra and workspace stacks once, in this order, then one
      adaptive stack for each run. No two of its resources have the same type and name. What a
      resource `needs`, an earlier one `gives`, and has handed on by then.
    - `declare` makes the resources of its stack and nothing else. Together the stacks hand on
      DASK_SCHEDULER, OBJECT_STORE_URL, MODELOPS_BUNDLE_REGISTRY and a binding for each database
      (`database_binding`): as `env` what is no secret, as `secrets` a reference to what is one.
    - `up` of what is as planned changes nothing; what died or was destroyed is made anew, and the
      bindings stay the same. A preview touches nothing.
    - A run ends by itself; it is finished then, not dead.
    - `down` leaves nothing but data and logs, and `delete_data` removes those. What another
      environment has is never touched.

    Importing its module is quick: nothing of pulumi, a cloud's SDK or Dask.
    """

    name: str
    shared_plugins: tuple[str, ...]
    """Plugins of the engine that all engine operations of a command may share; often none."""

    refreshes: bool
    """Whether the engine has to look at every resource first, since its plugin doesn't notice by
    itself, when it compares, that one is gone."""

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

    def look(self, plan: ProviderPlan, outputs: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the outputs of one resource as they are now, without the engine.

        `alive` or `exists` is False if what the resource stands for isn't there any more; what has
        neither is taken to be there. A job that has ended has an `exit_code`. `plan` says where to
        ask.

        Raises:
            ProviderError: if nobody can be asked: no cluster, no credentials.
        """
        ...

    def end_leftovers(
        self, plan: ProviderPlan, stack: str, known: frozenset[str]
    ) -> tuple[str, ...]:
        """End what an interrupted operation made for a stack and the engine's state doesn't know.

        `known` are the URNs in the state of the stack of that name. Return the names of what went.
        Nothing to do where the engine finds such things by itself.
        """
        ...

    def delete_data(self, plan: ProviderPlan) -> tuple[str, ...]:
        """Delete the data that `down` keeps (bundles, databases, results, logs).

        Returns what went, by the names that a person knows it by; nothing if nothing was there.
        """
        ...

    def health(
        self, plan: ProviderPlan, stack: StackView, seconds: float
    ) -> tuple[PartHealth, ...]:
        """Look at each part of a stack and ask it whether it does its work.

        Parts come in the plan's order. It takes about `seconds` at the most, however a part hangs;
        a part that isn't well is no error.

        Raises:
            ProviderError: if nobody can be asked: no cluster, no credentials.
        """
        ...

    def parts(self, plan: ProviderPlan) -> Mapping[str, Component]:
        """Return what has a log now, and the stack that it belongs to, in the order of stacks."""
        ...

    def logs(
        self, plan: ProviderPlan, part: str, *, follow: bool = False, tail: int | None = None
    ) -> Iterator[str]:
        """Yield the lines of a part's log, each with its newline, the oldest first.

        Args:
            plan: of the environment.
            part: one of `parts`.
            follow: whether to go on until closed. While nothing comes, an empty string is yielded
                at least twice a second, so that the caller can look whether to go on.
            tail: how many of the lines that are there already; all if left out.

        Raises:
            NotThereError: if the part has no log.
        """
        ...

    def reach(
        self, plan: ProviderPlan, bindings: BindingOutputs
    ) -> AbstractContextManager[BindingOutputs]:
        """Give a block bindings as this machine can use them; nothing is left after the block.

        The names are the same. Addresses lead to where the services can be reached from here, for
        as long as the block takes and through their restarts; every secret is in a file that only
        this user can read. What is reachable from here as it is, stays as it is. An object store
        may be reached for reading only: by an `http` URL.

        Nothing is done for what isn't among the bindings, so callers ask for those that they need.

        Raises:
            ProviderError: if nobody can be asked, or there is nothing where a binding leads to.
        """
        ...

    def secrets(self, plan: ProviderPlan) -> SecretStore:
        """Return where the environment's runs read secrets from.

        The command line keeps a copy in the folder `Home.secrets(env)` in any case; that folder
        may be the answer.
        """
        ...


@runtime_checkable
class HasOptions(Protocol):
    """A provider that says what its keys of `spec.provider` are, so that they are checked.

    Without it any key is taken, and `compile` has to check. The plan has the keys as plain data,
    with the model's defaults filled in.
    """

    options_model: type[ProviderOptions]


@runtime_checkable
class SeesTroubles(Protocol):
    """A provider that says what keeps parts from being ready while a stack is brought up.

    Where a part takes as long as a cluster likes, people are told what it waits for, and what was
    in the way when the time was up. Without it, only the engine says so.
    """

    def troubles(self, stack: StackPlan, since: datetime.datetime) -> tuple[str, ...]:
        """Return a line for each part that isn't ready and whose cause is known, the worst first.

        A line names the part and the cause, the same as long as both are. What happened before
        `since` doesn't count. Asked from a thread of its own every few seconds.

        Raises:
            ProviderError: if nobody can be asked.
        """
        ...


def database_binding(name: str) -> str:
    """Return the binding that holds a database's URL, for one of possibly several databases."""
    return f"{DATABASE_BINDING}{name.upper().replace('-', '_')}"


def run_part(run_id: str) -> str:
    """Return what a run is called among the parts of an environment, its log too."""
    return f"{RUN_PART}{run_id}"


def run_plans(plan: CompiledPlan) -> tuple[tuple[str, RunPlan], ...]:
    """Return (run-id, plan) of every algorithm whose code is pinned by a digest."""
    runs = []
    for algorithm in plan.algorithms:
        if algorithm.bundle.ref is not None:
            run = algorithm.pinned(algorithm.bundle.ref)
            runs.append((algorithm.run_id or run.default_run_id(), run))
    return tuple(runs)
