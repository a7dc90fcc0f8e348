"""StackChain: the four stacks of an environment, up in their order and down in reverse."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, replace

from modelops.contracts import BindingOutputs, BundleRef
from modelops.core.errors import EngineError, NotThereError, UsageError
from modelops.core.interrupts import interrupts_held
from modelops.core.naming import StackNaming
from modelops.core.settings import Home
from modelops.infra.exclusive import exclusively
from modelops.infra.home import clear_home
from modelops.infra.inventory import adaptive_stacks, remove_half_made, run_ids
from modelops.infra.stack import PulumiStack, StackResult, StackStatus
from modelops.providers.base import (
    Component,
    ProviderPlan,
    ProviderPlugin,
    StackPlan,
    StackView,
)
from modelops.providers.health import PartHealth
from modelops.spec.plan import BundleSource, CompiledPlan

_ORDER = tuple(Component)
_AGAIN = "Run the command again; if it goes on failing: mops status, mops logs."


def _ignore(_news: object) -> None:
    pass


@dataclass(frozen=True)
class StackChain:
    """All that can be done to an environment's stacks.

    Attributes:
        plan: what the stacks should be.
        provider: who declares their resources.
        home: where the default backend is.
        on_step: is given a line for each step of the engine.
    """

    plan: CompiledPlan
    provider: ProviderPlugin
    home: Home
    on_step: Callable[[str], None] = _ignore

    @property
    def naming(self) -> StackNaming:
        """The names of the environment's stacks."""
        return StackNaming(self.plan.env)

    def pinned(self, refs: Mapping[str, BundleRef]) -> "StackChain":
        """Return the chain with the code of each algorithm named in `refs` pinned by digest."""
        algorithms = tuple(
            replace(item, bundle=BundleSource(ref=refs[item.name])) if item.name in refs else item
            for item in self.plan.algorithms
        )
        return replace(self, plan=replace(self.plan, algorithms=algorithms))

    def provider_plan(self) -> ProviderPlan:
        """Return what the provider makes of the plan.

        Raises:
            ProviderError: if it can't do what the plan asks for.
        """
        return self.provider.compile(self.plan)

    def up(self, component: Component) -> StackResult:
        """Bring up one of the stacks that exist once; the one before it must be up.

        Raises:
            NotThereError: if the one before isn't up.
            EngineError: with what the engine said.
        """
        self._require_before(component)
        with self.exclusively():
            return self._up(self.provider_plan().stack(component))

    def up_run(self, algorithm: str) -> StackResult:
        """Bring up the run of an algorithm whose code is pinned.

        Raises:
            NotThereError: if the workspace isn't up.
            EngineError: with what the engine said.
        """
        self._require_before(Component.ADAPTIVE)
        with self.exclusively():
            return self._up(self.run_stack(algorithm))

    def run_stack(self, algorithm: str) -> StackPlan:
        """Return the plan of an algorithm's adaptive stack; its code must be pinned."""
        return next(run for run in self.provider_plan().runs() if run.algorithm == algorithm)

    def apply(
        self, on_result: Callable[[StackResult], None] = _ignore
    ) -> dict[str, BindingOutputs]:
        """Bring up every stack; return each algorithm's bindings.

        Raises:
            EngineError: with what the engine said; the stacks brought up so far stay.
        """
        with self.exclusively():
            self.up_stores(on_result)
            return self.up_runs(on_result)

    def up_stores(
        self, on_result: Callable[[StackResult], None] = _ignore, *, were_up: bool = False
    ) -> BindingOutputs:
        """Bring up the registry and infra; return what both hand on.

        Args:
            on_result: is told of each stack.
            were_up: whether both are thought to be up, so that infra, whose resources need nothing
                of the registry, needn't wait for it. What it hands on is brought up to date if the
                registry turns out to hand on something else than before.
        """
        plan = self.provider_plan()
        stores = [plan.stack(component) for component in (Component.REGISTRY, Component.INFRA)]
        with self.exclusively():
            if were_up and not any(resource.needs for resource in stores[1].resources):
                results = iter(self._side_by_side(*stores))
            else:
                results = map(self._up, stores)
            bindings = BindingOutputs()
            for result in results:
                on_result(result)
                bindings = result.bindings
        return bindings

    def up_runs(
        self, on_result: Callable[[StackResult], None] = _ignore
    ) -> dict[str, BindingOutputs]:
        """Bring up the workspace and every run; return each algorithm's bindings."""
        bindings = {}
        plan = self.provider_plan()
        with self.exclusively():
            for stack in (plan.stack(Component.WORKSPACE), *plan.runs()):
                result = self._up(stack)
                on_result(result)
                if stack.algorithm is not None:
                    bindings[stack.algorithm] = result.bindings
        return bindings

    def exclusively(self) -> AbstractContextManager[None]:
        """Give a block in which no other process on this machine works on the environment."""
        return exclusively(self.home, self.plan.env, self.on_step)

    def preview_all(self) -> dict[str, Mapping[str, int]]:
        """Return what `up` would do to each stack, as far as the engine can tell.

        A stack can be previewed once the one before it is up; those after it are left out.
        """
        changes: dict[str, Mapping[str, int]] = {}
        for stack in self.provider_plan().stacks:
            before = _before(stack.component)
            if before is None or self._stack(before).status().is_up:
                pulumi_stack = self._stack(stack.component, stack.run_id)
                changes[pulumi_stack.name] = pulumi_stack.preview(stack, self.provider, before)
        return changes

    def preview(self, component: Component) -> Mapping[str, int]:
        """Return what `up` of a stack would do, by the engine's count."""
        self._require_before(component)
        stack = self.provider_plan().stack(component)
        return self._stack(component).preview(stack, self.provider, _before(component))

    def bindings(self, component: Component, run_id: str | None = None) -> BindingOutputs:
        """Return what a stack handed on.

        Raises:
            NotThereError: if it isn't up.
        """
        return self._stack(component, run_id).bindings()

    @contextmanager
    def reach(self, component: Component, *beginnings: str) -> Iterator[BindingOutputs]:
        """Give a block some of a stack's bindings as this machine can use them.

        Args:
            component: the stack.
            beginnings: what the names of those bindings begin with.

        Raises:
            NotThereError: if it isn't up.
            ProviderError: if they can't be reached.
        """
        with self.reached(self.bindings(component), *beginnings) as bindings:
            yield bindings

    def reached(
        self, bindings: BindingOutputs, *beginnings: str
    ) -> AbstractContextManager[BindingOutputs]:
        """Give a block some of these bindings as this machine can use them, as `reach` does."""
        return self.provider.reach(self.provider_plan(), bindings.only(*beginnings))

    def status(self, component: Component, run_id: str | None = None) -> StackStatus:
        """Return one stack as its state has it."""
        return self._stack(component, run_id).status()

    def look(self, component: Component, run_id: str | None = None) -> StackStatus:
        """Return one stack with its resources as they are now; the engine isn't asked to look.

        So it takes no lock, and doesn't wait for an operation that is under way.
        """
        status = self._stack(component, run_id).status()
        plan = self.provider_plan()
        now = {
            name: self.provider.look(plan, outputs) for name, outputs in status.resources.items()
        }
        return replace(status, resources=now)

    def health(
        self, component: Component, run_id: str | None = None, *, seconds: float
    ) -> tuple[StackStatus, tuple[PartHealth, ...]]:
        """Return a stack as its state has it, and how its parts are now; none if it isn't up.

        Parts get `seconds` to answer. Like `look`, it doesn't wait for the engine's operations.
        """
        status = self._stack(component, run_id).status()
        if status.bindings is None:
            return status, ()
        view = StackView(component, status.resources, status.bindings, run_id)
        return status, self.provider.health(self.provider_plan(), view, seconds)

    def refresh(self, component: Component, run_id: str | None = None) -> StackStatus:
        """Look at a stack's resources as they are now.

        Raises:
            NotThereError: if it isn't up.
        """
        return self._stack(component, run_id).refresh()

    def run_ids(self) -> tuple[str, ...]:
        """Return the run-ids of all adaptive stacks of the environment."""
        return run_ids(self.naming, self.home)

    def down(self, component: Component, run_id: str | None = None) -> Mapping[str, int]:
        """Take a stack down; the data that its provider keeps stay.

        Raises:
            NotThereError: if there is no stack of that run.
            UsageError: if a later stack is up, with the command that takes it down.
            EngineError: with what the engine said.
        """
        if run_id is not None and run_id not in self.run_ids():
            raise NotThereError(
                f"The run {run_id!r} has no stack.", hint="See which are there: mops adaptive list"
            )
        for later in _ORDER[_ORDER.index(component) + 1 :]:
            self._refuse_while_up(component, later)
        with self.exclusively():
            return self._down(component, run_id)

    def down_all(
        self, on_result: Callable[[str, Mapping[str, int]], None] = lambda _name, _changes: None
    ) -> dict[str, Mapping[str, int]]:
        """Take every stack down, in reverse order; return the engine's counts by stack.

        Raises:
            EngineError: for every run that couldn't be taken down, the others are; or for the first
                of the stacks that all runs share.
        """
        results: dict[str, Mapping[str, int]] = {}
        failed: list[EngineError] = []

        def down(component: Component, run_id: str | None = None) -> None:
            name = self._stack(component, run_id).name
            results[name] = self._down(component, run_id)
            on_result(name, results[name])

        with self.exclusively():
            adaptive = adaptive_stacks(self.naming, self.home)
            for run_id in adaptive.run_ids:
                try:
                    down(Component.ADAPTIVE, run_id)
                except EngineError as error:
                    failed.append(error)
            if failed:
                raise EngineError("\n".join(error.message for error in failed), hint=_AGAIN)
            remove_half_made(self.naming, self.home, adaptive.half_made)
            for component in reversed(_ORDER[:-1]):
                down(component)
        return results

    def delete_data(self) -> tuple[str, ...]:
        """Delete what `down` keeps; return what went.

        With the last environment goes what all share: the engine's state, its key, the cache.
        """
        with self.exclusively():
            deleted = self.provider.delete_data(self.provider_plan())
        return (*deleted, *clear_home(self.home))

    def _up(self, stack: StackPlan) -> StackResult:
        with self._leaving_nothing_half_made(stack):
            return self._operate_up(stack)

    def _operate_up(self, stack: StackPlan) -> StackResult:
        pulumi_stack = self._stack(stack.component, stack.run_id)
        result = pulumi_stack.up(stack, self.provider, _before(stack.component), self.on_step)
        if result.was_cut_off:
            # It may have been over something that the plan has no more.
            self._end_leftovers(pulumi_stack)
        return result

    @contextmanager
    def _leaving_nothing_half_made(self, *stacks: StackPlan) -> Iterator[None]:
        try:
            yield
        except BaseException:
            for stack in stacks:
                # What went wrong first is what is told.
                with suppress(EngineError):
                    self._end_leftovers(self._stack(stack.component, stack.run_id))
            raise

    def _side_by_side(self, first: StackPlan, second: StackPlan) -> list[StackResult]:
        with (
            # Outside of what holds interrupts: once there was one, no engine runs inside.
            self._leaving_nothing_half_made(first, second),
            # Held here, since signals reach the main thread only.
            interrupts_held(),
            ThreadPoolExecutor(1, "stack") as pool,
        ):
            ahead = pool.submit(self._operate_up, second)
            result = self._operate_up(first)
            try:
                results = [result, ahead.result()]
            except NotThereError:
                results = [result]
        if len(results) == 1 or not results[1].bindings.includes(result.bindings):
            results[1:] = [self._up(second)]
        return results

    def _down(self, component: Component, run_id: str | None = None) -> Mapping[str, int]:
        stack = self._stack(component, run_id)
        changes = stack.down(self.on_step)
        self.provider.end_leftovers(self.provider_plan(), stack.name, frozenset())
        return changes

    def _end_leftovers(self, stack: PulumiStack) -> None:
        """End what an operation that was cut off has started and the state doesn't know."""
        known = stack.status().urns
        for name in self.provider.end_leftovers(self.provider_plan(), stack.name, known):
            self.on_step(f"end {name}, which was half made")

    def _stack(self, component: Component, run_id: str | None = None) -> PulumiStack:
        if component is Component.ADAPTIVE and run_id is None:
            raise NotThereError("An adaptive stack belongs to a run.", hint="Name it: --run-id ID")
        return PulumiStack(self.naming, self.home, component, run_id)

    def _require_before(self, component: Component) -> None:
        before = _before(component)
        if before is not None and not self._stack(before).status().is_up:
            raise NotThereError(
                f"{self.naming.stack(before)} isn't up.",
                hint=f"Bring it up first: mops {before} up (or everything: mops up)",
            )

    def _refuse_while_up(self, component: Component, later: Component) -> None:
        if later is Component.ADAPTIVE:
            for run_id in self.run_ids():
                raise UsageError(
                    f"{self.naming.stack(component)} is needed by the run {run_id}.",
                    hint=f"Take that down first: mops adaptive down --run-id {run_id}",
                )
        elif self._stack(later).status().resources:
            raise UsageError(
                f"{self.naming.stack(component)} is needed by {self.naming.stack(later)}.",
                hint=f"Take that down first: mops {later} down (or everything: mops down)",
            )


def _before(component: Component) -> Component | None:
    position = _ORDER.index(component)
    return _ORDER[position - 1] if position else None
