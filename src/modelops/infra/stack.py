"""One stack: its program, and up, preview, outputs, refresh and down on the engine."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi import automation as auto

from modelops.contracts import BindingOutputs
from modelops.core.automation import Stack, open_workspace
from modelops.core.errors import EngineError, ModelOpsError, NotThereError
from modelops.core.naming import StackNaming
from modelops.core.scratch import scratch_folder
from modelops.core.settings import Home
from modelops.infra.engine_errors import in_words
from modelops.infra.events import EngineLog
from modelops.infra.locks import LockHolder
from modelops.infra.repair import (
    TO_ASK,
    TO_DELETE,
    TO_MAKE,
    is_broken_file,
    repair,
    require_space,
)
from modelops.infra.watching import watching
from modelops.providers.base import Component, ProviderPlugin, StackPlan

BINDINGS = "bindings"
ENV_TAG = "modelops:env"
RUN_TAG = "modelops:run-id"


def _ignore(_step: str) -> None:
    pass


@dataclass(frozen=True)
class StackResult:
    """What an operation did: the engine's own count of resources by what became of them.

    `was_cut_off`: an operation before it had been cut off while it made something.
    """

    component: Component
    name: str
    changes: Mapping[str, int]
    bindings: BindingOutputs
    run_id: str | None = None
    was_cut_off: bool = False


@dataclass(frozen=True)
class StackStatus:
    """A stack as its state has it; a stack that is up has bindings."""

    component: Component
    name: str
    is_up: bool
    resources: Mapping[str, Mapping[str, Any]]
    run_id: str | None = None
    urns: frozenset[str] = frozenset()
    bindings: BindingOutputs | None = None

    @property
    def dead(self) -> tuple[str, ...]:
        """Names of the resources that the last refresh found dead or gone."""
        return tuple(
            name
            for name, outputs in self.resources.items()
            if outputs.get("alive") is False or outputs.get("exists") is False
        )


class PulumiStack:
    """One stack of an environment, in the backend that the environment variables name."""

    def __init__(
        self, naming: StackNaming, home: Home, component: Component, run_id: str | None = None
    ) -> None:
        self.component = component
        self.run_id = run_id
        self.name = naming.stack(component, run_id)
        self._naming = naming
        self._home = home
        self._raised: ModelOpsError | None = None

    def up(
        self,
        plan: StackPlan,
        provider: ProviderPlugin,
        upstream: Component | None,
        on_step: Callable[[str], None],
    ) -> StackResult:
        """Bring the stack to its plan; what died is healed, what is as planned isn't touched.

        Raises:
            EngineError: with what the engine said.
        """
        program = self.program(plan, provider, upstream)

        def up(workspace: auto.LocalWorkspace, log: EngineLog) -> None:
            stack = Stack(self.name, workspace)
            try:
                stack.up(on_event=log, refresh=provider.refreshes)
            except auto.StackNotFoundError:
                Stack.make(self.name, workspace)
                self._tag(stack)
                stack.up(on_event=log)
            else:
                # A stack may have been made and the one who made it killed before this.
                if log.changes.get("create") and self._lacks_tags(stack):
                    self._tag(stack)
            if log.cut_off:
                self._forget_cut_off(stack, log, on_step)

        with watching(provider, plan, on_step):
            log = self._operate("couldn't be brought up", up, on_step, program)
        bindings = BindingOutputs.from_json(log.outputs[BINDINGS])
        was_cut_off = bool(log.cut_off)
        return StackResult(
            self.component, self.name, log.changes, bindings, self.run_id, was_cut_off
        )

    def preview(
        self, plan: StackPlan, provider: ProviderPlugin, upstream: Component | None
    ) -> Mapping[str, int]:
        """Return what `up` would do, by the engine's count; nothing is touched."""
        program = self.program(plan, provider, upstream)

        def preview(workspace: auto.LocalWorkspace, log: EngineLog) -> None:
            try:
                Stack(self.name, workspace).preview(on_event=log, refresh=provider.refreshes)
            except auto.StackNotFoundError:
                # The engine previews stacks that exist; this one is there for the preview only.
                stack = Stack.make(self.name, workspace)
                try:
                    stack.preview(on_event=log)
                finally:
                    workspace.remove_stack(self.name)

        return self._operate("can't be previewed", preview, program=program).changes

    def bindings(self) -> BindingOutputs:
        """Return what the stack handed on.

        Raises:
            NotThereError: if it isn't up.
        """
        # Asked for outputs alone, the engine derives its key from the passphrase first, which takes
        # longer than all the rest.
        bindings = self.status().bindings
        if bindings is None:
            raise self._not_up()
        return bindings

    def status(self) -> StackStatus:
        """Return the stack's resources as the state has them."""
        try:
            deployment = json.loads(self._ask("stack", "export"))["deployment"]
        except NotThereError:
            return StackStatus(self.component, self.name, False, {}, self.run_id)
        all_of = deployment.get("resources") or []
        resources = _by_name(
            item for item in all_of if item.get("custom") and not item["type"].startswith("pulumi:")
        )
        handed_on = [
            item["outputs"][BINDINGS]
            for item in all_of
            if item["type"] == "pulumi:pulumi:Stack" and BINDINGS in item.get("outputs", {})
        ]
        urns = frozenset(item["urn"] for item in all_of)
        bindings = BindingOutputs.from_json(handed_on[0]) if handed_on else None
        is_up = bindings is not None
        return StackStatus(self.component, self.name, is_up, resources, self.run_id, urns, bindings)

    def refresh(self) -> StackStatus:
        """Look at every resource and note in the state what is found.

        Raises:
            NotThereError: if the stack isn't up.
        """

        def refresh(workspace: auto.LocalWorkspace, log: EngineLog) -> None:
            Stack(self.name, workspace).refresh(on_event=log)

        self._operate("can't be refreshed", refresh)
        return self.status()

    def down(self, on_step: Callable[[str], None]) -> Mapping[str, int]:
        """Delete the stack's resources and the stack; return the engine's count.

        Data that a provider keeps stay. A stack that isn't there is no error.
        """

        def destroy(workspace: auto.LocalWorkspace, log: EngineLog) -> None:
            Stack(self.name, workspace).destroy_and_remove(log)

        try:
            what = "couldn't be taken down"
            return self._operate(what, destroy, on_step, space=TO_DELETE).changes
        except NotThereError:
            return {}

    def program(
        self, plan: StackPlan, provider: ProviderPlugin, upstream: Component | None
    ) -> Callable[[], Any]:
        """Return the stack's inline program, as the engine runs it."""

        async def program() -> None:
            try:
                await declare()
            except ModelOpsError as error:
                # The engine reports a traceback; who called us gets the error itself.
                self._raised = error
                raise

        async def declare() -> None:
            known = BindingOutputs()
            if upstream is not None:
                organization = pulumi.get_organization()
                name = self._naming.stack_reference(upstream, organization)
                reference = pulumi.StackReference(name)
                details = await reference.get_output_details(BINDINGS)
                if details.value is None:
                    raise NotThereError(
                        f"{self._naming.stack(upstream)} isn't up.",
                        hint=f"Bring it up first: mops {upstream} up",
                    )
                known = BindingOutputs.from_json(details.value)
            declared = provider.declare(plan, known)
            pulumi.export(BINDINGS, declared.apply(lambda own: known.merged(own).to_json()))

        return program

    def _forget_cut_off(self, stack: Stack, log: EngineLog, on_step: Callable[[str], None]) -> None:
        """Clear the notes of what an engine was killed over, now that it has been made whole.

        The engine keeps them until a person answers it on a terminal. Importing a state clears
        them; secrets stay encrypted on the way.
        """
        workspace = stack.workspace
        folder, variables = workspace.work_dir, workspace.env_vars
        for command in ("export", "import"):
            arguments = ["stack", command, "--file", "state.json", "--stack", self.name]
            workspace.pulumi_command.run(arguments, folder, variables)
        for name in log.cut_off:
            on_step(f"clear the note that making {name} was cut off")

    def _lacks_tags(self, stack: Stack) -> bool:
        return self.run_id is not None and ENV_TAG not in stack.list_tags()

    def _tag(self, stack: Stack) -> None:
        if self.run_id is not None:
            stack.set_tag(RUN_TAG, self.run_id)
            # Last: with it the stack is found as one of the environment's runs.
            stack.set_tag(ENV_TAG, self._naming.env)

    def _operate(
        self,
        what: str,
        operation: Callable[[auto.LocalWorkspace, EngineLog], None],
        on_step: Callable[[str], None] = _ignore,
        program: Callable[[], Any] | None = None,
        space: int = TO_MAKE,
    ) -> EngineLog:
        """Run an operation and return what the engine told.

        A dead engine's lock is cleared, and files that a full disk cut off are mended, once.
        """
        require_space(self._home, space)
        with self._workspace(program) as workspace, self._engine_errors(what, on_step) as log:
            try:
                operation(workspace, log)
            except auto.CommandError as error:
                if not self._clear(error, workspace, on_step):
                    raise
                log.clear()
                operation(workspace, log)
        return log

    def _clear(
        self,
        error: auto.CommandError,
        workspace: auto.LocalWorkspace,
        on_step: Callable[[str], None],
    ) -> bool:
        """Clear what stands in the way and needn't; return whether there was something."""
        if isinstance(error, auto.ConcurrentUpdateError):
            holders = LockHolder.all_in(str(error))
            if not holders or not all(holder.is_gone for holder in holders):
                return False
            on_step(f"clear the lock that {holders[0]} left behind")
            Stack(self.name, workspace).cancel()
            return True
        if not is_broken_file(str(error)):
            return False
        mended = repair(self._home, self._naming.project(self.component), self.name)
        for line in mended:
            on_step(line)
        return bool(mended)

    def _ask(self, *arguments: str) -> str:
        """Return what the engine says to a question about the stack."""

        def ask() -> str:
            with self._workspace() as workspace, self._engine_errors("can't be read"):
                command = [*arguments, "--stack", self.name]
                folder, variables = workspace.work_dir, workspace.env_vars
                return str(workspace.pulumi_command.run(command, folder, variables).stdout)

        try:
            return ask()
        except EngineError as error:
            project = self._naming.project(self.component)
            if not is_broken_file(str(error)) or not repair(self._home, project, self.name):
                raise
            return ask()

    @contextmanager
    def _workspace(self, program: Callable[[], Any] | None = None) -> Iterator[auto.LocalWorkspace]:
        project = self._naming.project(self.component)
        require_space(self._home, TO_ASK)
        with scratch_folder(self._home) as folder:
            yield open_workspace(self._home, project, folder, program, self.name)

    @contextmanager
    def _engine_errors(
        self, what: str, on_step: Callable[[str], None] = _ignore
    ) -> Iterator[EngineLog]:
        self._raised = None
        log = EngineLog(on_step)
        try:
            yield log
        except auto.StackNotFoundError as error:
            raise self._not_up() from error
        except auto.ConcurrentUpdateError as error:
            held_by = ", ".join(str(holder) for holder in LockHolder.all_in(str(error)))
            raise EngineError(
                f"{self.name} {what}: its lock is held by {held_by or 'another operation'}.",
                hint="Wait until that has ended, then run the command again.",
            ) from error
        except auto.CommandError as error:
            if self._raised is not None:
                raise self._raised from None
            raise in_words(f"{self.name} {what}", error, self._home, log.errors) from error

    def _not_up(self) -> NotThereError:
        command = f"{self.component} up"
        if self.run_id is not None:
            command += f" --run-id {self.run_id}"
        hint = f"Bring it up with: mops {command} (or everything: mops up)"
        return NotThereError(f"{self.name} isn't up.", hint=hint)


def _by_name(items: Iterable[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Return resources' outputs by name; where kinds share a name, by `Kind/name`."""
    named = [(item["urn"].rsplit("::", 1)[-1], item) for item in items]
    shared = Counter(name for name, _ in named)
    return {
        name if shared[name] == 1 else f"{item['type'].rsplit(':', 1)[-1]}/{name}": item.get(
            "outputs", {}
        )
        for name, item in named
    }
