"""StackChain: the four stacks of an environment, up in their order and down in reverse."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from modelops.contracts import BindingOutputs, BundleRef
from modelops.core.errors import NotThereError, UsageError
from modelops.core.naming import StackNaming
from modelops.core.settings import Home
from modelops.infra.stack import PulumiStack, StackResult, StackStatus, run_ids
from modelops.providers.base import Component, ProviderPlan, ProviderPlugin, StackPlan
from modelops.spec.plan import BundleSource, CompiledPlan

_ORDER = tuple(Component)


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
        return self._up(self.provider_plan().stack(component))

    def up_run(self, algorithm: str) -> StackResult:
        """Bring up the run of an algorithm whose code is pinned.

        Raises:
            NotThereError: if the workspace isn't up.
            EngineError: with what the engine said.
        """
        self._require_before(Component.ADAPTIVE)
        return self._up(self.run_stack(algorithm))

    def run_stack(self, algorithm: str) -> StackPlan:
        """Return the plan of an algorithm's adaptive stack; its code must be pinned."""
        return next(run for run in self.provider_plan().runs() if run.algorithm == algorithm)

    def apply(
        self,
        on_result: Callable[[StackResult], None] = _ignore,
        *,
        after: Component | None = None,
    ) -> dict[str, BindingOutputs]:
        """Bring up every stack (or those after one that is up); return each algorithm's bindings.

        Raises:
            EngineError: with what the engine said; the stacks brought up so far stay.
        """
        bindings = {}
        for stack in self.provider_plan().stacks:
            if after is not None and _ORDER.index(stack.component) <= _ORDER.index(after):
                continue
            result = self._up(stack)
            on_result(result)
            if stack.algorithm is not None:
                bindings[stack.algorithm] = result.bindings
        return bindings

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

    def status(self, component: Component, run_id: str | None = None) -> StackStatus:
        """Return one stack as its state has it."""
        return self._stack(component, run_id).status()

    def look(self, component: Component, run_id: str | None = None) -> StackStatus:
        """Return one stack with its resources as they are now; the engine isn't asked to look.

        So it takes no lock, and doesn't wait for an operation that is under way.
        """
        status = self._stack(component, run_id).status()
        now = {name: self.provider.look(outputs) for name, outputs in status.resources.items()}
        return replace(status, resources=now)

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
        return self._stack(component, run_id).down(self.on_step)

    def down_all(self) -> dict[str, Mapping[str, int]]:
        """Take every stack down, in reverse order; return the engine's counts by stack."""
        results: dict[str, Mapping[str, int]] = {}
        for run_id in self.run_ids():
            results[f"adaptive {run_id}"] = self._stack(Component.ADAPTIVE, run_id).down(
                self.on_step
            )
        for component in reversed(_ORDER[:-1]):
            results[component] = self._stack(component).down(self.on_step)
        return results

    def _up(self, stack: StackPlan) -> StackResult:
        pulumi_stack = self._stack(stack.component, stack.run_id)
        return pulumi_stack.up(stack, self.provider, _before(stack.component), self.on_step)

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
