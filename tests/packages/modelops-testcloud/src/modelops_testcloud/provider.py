"""TestcloudProvider: what the entry point names."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelops.contracts import BindingOutputs
from modelops.core.errors import NotThereError
from modelops.core.secrets import SecretFolder, SecretStore
from modelops.providers.base import RUN_PART, Component, ProviderPlan, StackPlan, StackView
from modelops.providers.health import PartHealth, PartState, check_parts
from modelops.providers.local import logs
from modelops.providers.local.plugin.kinds import kind_of_state
from modelops.providers.local.plugin.leftovers import end_leftovers
from modelops.spec import CompiledPlan
from modelops_testcloud.plan import compile_plan

if TYPE_CHECKING:
    from pulumi import Output


class TestcloudProvider:
    """Everything in one shared folder; workers that join a scheduler which is there already."""

    name = "testcloud"
    shared_plugins = ("modelops",)
    refreshes = False

    def compile(self, plan: CompiledPlan) -> ProviderPlan:
        """Turn a plan into folders, workers and runs."""
        return compile_plan(plan)

    def declare(self, stack: StackPlan, upstream: BindingOutputs) -> Output[BindingOutputs]:
        """Declare a stack's resources inside its Pulumi program."""
        from modelops_testcloud.components import declare_stack

        return declare_stack(stack, upstream)

    def look(self, plan: ProviderPlan, outputs: Mapping[str, Any]) -> Mapping[str, Any]:
        """Look whether a process lives or has finished, or a folder is there."""
        kind = kind_of_state(outputs)
        return outputs if kind is None else kind.refreshed(outputs)

    def end_leftovers(
        self, plan: ProviderPlan, stack: str, known: frozenset[str]
    ) -> tuple[str, ...]:
        """End processes of the stack that a killed engine had no time to note."""
        return end_leftovers(_place(plan) / "processes", stack, known)

    def delete_data(self, plan: ProviderPlan) -> tuple[str, ...]:
        """Remove the environment's part of the shared folder."""
        place = _place(plan)
        deleted = tuple(str(path) for path in sorted(place.iterdir())) if place.exists() else ()
        shutil.rmtree(place, ignore_errors=not place.exists())
        return deleted

    def health(
        self, plan: ProviderPlan, stack: StackView, seconds: float
    ) -> tuple[PartHealth, ...]:
        """Look at each resource of a stack, and ask the scheduler whether it's there."""
        checks: dict[str, Callable[[], PartHealth]] = {
            name: partial(_health, name, self.look(plan, outputs))
            for name, outputs in stack.resources.items()
        }
        if stack.component is Component.WORKSPACE:
            address = stack.bindings.env["DASK_SCHEDULER"]
            checks["scheduler"] = partial(_ask_scheduler, address, seconds)
        order = [item.name for planned in plan.stacks for item in planned.resources]
        in_order = [name for name in order if name in checks]
        # A run that the spec no longer names is asked too.
        return check_parts(
            {name: checks[name] for name in dict.fromkeys([*in_order, *checks])}, seconds
        )

    def parts(self, plan: ProviderPlan) -> Mapping[str, Component]:
        """Return every process that has a log; those of runs come last."""
        names = sorted(path.stem for path in (_place(plan) / "logs").glob("*.log"))
        found = {name: Component.WORKSPACE for name in names if not name.startswith(RUN_PART)}
        return found | {name: Component.ADAPTIVE for name in names if name.startswith(RUN_PART)}

    def logs(
        self, plan: ProviderPlan, part: str, *, follow: bool = False, tail: int | None = None
    ) -> Iterator[str]:
        """Yield the lines of a process's log."""
        if part not in self.parts(plan):
            raise NotThereError(f"{part} has no log.", hint="See which there are: mops logs --list")
        path = _place(plan) / "logs" / f"{part}.log"
        return logs.follow(path, tail) if follow else logs.read(path, tail)

    def reach(
        self, plan: ProviderPlan, bindings: BindingOutputs
    ) -> AbstractContextManager[BindingOutputs]:
        """Give the block the bindings as they are: the folder is shared with this machine."""
        return nullcontext(bindings)

    def secrets(self, plan: ProviderPlan) -> SecretStore:
        """Return a folder that the user alone can read."""
        return SecretFolder(_place(plan) / "secrets")


def _health(name: str, outputs: Mapping[str, Any]) -> PartHealth:
    if outputs.get("exists") is False:
        return PartHealth(name, PartState.GONE, "its folder isn't there any more")
    if outputs.get("alive") is False:
        return PartHealth(name, PartState.DEAD, "its process has ended")
    is_finished = outputs.get("exit_code") == 0
    return PartHealth(name, PartState.FINISHED if is_finished else PartState.HEALTHY)


def _ask_scheduler(address: str, seconds: float) -> PartHealth:
    from modelops.services.dask_health import workers_of

    try:
        workers = workers_of(address, seconds)
    except OSError as error:
        return PartHealth("scheduler", PartState.UNHEALTHY, f"can't be reached: {error}")
    detail = f"{len(workers)} workers in all environments"
    return PartHealth("scheduler", PartState.HEALTHY, detail=detail, address=address)


def _place(plan: ProviderPlan) -> Path:
    (registry,) = plan.stack(Component.REGISTRY).resources
    return Path(registry.properties["path"]).parent
