"""One stack: its program, and up, preview, outputs, refresh and down on the engine."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from textwrap import indent
from typing import Any

import pulumi
from pulumi import automation as auto

from modelops.contracts import BindingOutputs
from modelops.core.automation import Stack, open_workspace
from modelops.core.errors import EngineError, ModelOpsError, NotThereError
from modelops.core.naming import StackNaming
from modelops.core.settings import Home
from modelops.infra.events import EngineLog, readable
from modelops.infra.locks import LockHolder
from modelops.providers.base import Component, ProviderPlugin, StackPlan

BINDINGS = "bindings"
ENV_TAG = "modelops:env"
RUN_TAG = "modelops:run-id"


def _ignore(_step: str) -> None:
    pass


@dataclass(frozen=True)
class StackResult:
    """What an operation did: the engine's own count of resources by what became of them."""

    component: Component
    name: str
    changes: Mapping[str, int]
    bindings: BindingOutputs
    run_id: str | None = None


@dataclass(frozen=True)
class StackStatus:
    """A stack as its state has it."""

    component: Component
    name: str
    is_up: bool
    resources: Mapping[str, Mapping[str, Any]]
    run_id: str | None = None

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
        program = self._program(plan, provider, upstream)

        def up(workspace: auto.LocalWorkspace, log: EngineLog) -> None:
            stack = Stack.open(self.name, workspace)
            self._tag(stack)
            stack.up(on_event=log)

        log = self._operate("couldn't be brought up", up, on_step, program)
        bindings = BindingOutputs.from_json(log.outputs[BINDINGS])
        return StackResult(self.component, self.name, log.changes, bindings, self.run_id)

    def preview(
        self, plan: StackPlan, provider: ProviderPlugin, upstream: Component | None
    ) -> Mapping[str, int]:
        """Return what `up` would do, by the engine's count; nothing is touched."""
        program = self._program(plan, provider, upstream)

        def preview(workspace: auto.LocalWorkspace, log: EngineLog) -> None:
            try:
                Stack.find(self.name, workspace).preview(on_event=log)
            except auto.StackNotFoundError:
                # The engine previews stacks that exist; this one is there for the preview only.
                stack = Stack.open(self.name, workspace)
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
        outputs = json.loads(self._ask("stack", "output", "--json"))
        if BINDINGS not in outputs:
            raise self._not_up()
        return BindingOutputs.from_json(outputs[BINDINGS])

    def status(self) -> StackStatus:
        """Return the stack's resources as the state has them."""
        try:
            deployment = json.loads(self._ask("stack", "export"))["deployment"]
        except NotThereError:
            return StackStatus(self.component, self.name, False, {}, self.run_id)
        all_of = deployment.get("resources") or []
        resources = {
            item["urn"].rsplit("::", 1)[-1]: item.get("outputs", {})
            for item in all_of
            if item.get("custom") and not item["type"].startswith("pulumi:")
        }
        is_up = any(
            item["type"] == "pulumi:pulumi:Stack" and BINDINGS in item.get("outputs", {})
            for item in all_of
        )
        return StackStatus(self.component, self.name, is_up, resources, self.run_id)

    def refresh(self) -> StackStatus:
        """Look at every resource and note in the state what is found.

        Raises:
            NotThereError: if the stack isn't up.
        """

        def refresh(workspace: auto.LocalWorkspace, log: EngineLog) -> None:
            Stack.find(self.name, workspace).refresh(on_event=log)

        self._operate("can't be refreshed", refresh)
        return self.status()

    def down(self, on_step: Callable[[str], None]) -> Mapping[str, int]:
        """Delete the stack's resources and the stack; return the engine's count.

        Data that a provider keeps stay. A stack that isn't there is no error.
        """

        def destroy(workspace: auto.LocalWorkspace, log: EngineLog) -> None:
            Stack.find(self.name, workspace).destroy(on_event=log, remove=True)

        try:
            return self._operate("couldn't be taken down", destroy, on_step).changes
        except NotThereError:
            return {}

    def _program(
        self, plan: StackPlan, provider: ProviderPlugin, upstream: Component | None
    ) -> Callable[[], Any]:
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
                reference = pulumi.StackReference(self._naming.stack_reference(upstream))
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

    def _tag(self, stack: Stack) -> None:
        if self.run_id is not None and ENV_TAG not in stack.list_tags():
            stack.set_tag(RUN_TAG, self.run_id)
            # Last: with it the stack is found as one of the environment's runs.
            stack.set_tag(ENV_TAG, self._naming.env)

    def _operate(
        self,
        what: str,
        operation: Callable[[auto.LocalWorkspace, EngineLog], None],
        on_step: Callable[[str], None] = _ignore,
        program: Callable[[], Any] | None = None,
    ) -> EngineLog:
        """Run an operation and return what the engine told; a dead engine's lock is cleared."""
        with self._workspace(program) as workspace, self._engine_errors(what, on_step) as log:
            try:
                operation(workspace, log)
            except auto.ConcurrentUpdateError as error:
                holders = LockHolder.all_in(str(error))
                if not holders or not all(holder.is_gone for holder in holders):
                    raise
                on_step(f"clear the lock that {holders[0]} left behind")
                Stack.find(self.name, workspace).cancel()
                operation(workspace, log)
        return log

    def _ask(self, *arguments: str) -> str:
        """Return what the engine says to a question about the stack."""
        with self._workspace() as workspace, self._engine_errors("can't be read"):
            command = [*arguments, "--stack", self.name]
            answer = workspace.pulumi_command.run(command, workspace.work_dir, workspace.env_vars)
        return str(answer.stdout)

    @contextmanager
    def _workspace(self, program: Callable[[], Any] | None = None) -> Iterator[auto.LocalWorkspace]:
        project = self._naming.project(self.component)
        with tempfile.TemporaryDirectory(prefix="mops-") as folder:
            yield open_workspace(self._home, project, Path(folder), program)

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
            said = log.errors or readable(str(error))
            raise EngineError(f"{self.name} {what}:\n{indent(said, '  ')}") from error

    def _not_up(self) -> NotThereError:
        command = f"{self.component} up"
        if self.run_id is not None:
            command += f" --run-id {self.run_id}"
        hint = f"Bring it up with: mops {command} (or everything: mops up)"
        return NotThereError(f"{self.name} isn't up.", hint=hint)


def run_ids(naming: StackNaming, home: Home) -> tuple[str, ...]:
    """Return the run-ids of all adaptive stacks of the environment, in order.

    Raises:
        EngineError: with what the engine said.
    """
    project = naming.project(Component.ADAPTIVE)
    with tempfile.TemporaryDirectory(prefix="mops-") as folder:
        workspace = open_workspace(home, project, Path(folder))
        try:
            all_tags = [workspace.list_tags(item.name) for item in workspace.list_stacks()]
        except auto.CommandError as error:
            raise EngineError(
                f"The runs' stacks can't be listed:\n{readable(str(error))}"
            ) from error
    found = [
        tags[RUN_TAG] for tags in all_tags if tags.get(ENV_TAG) == naming.env and RUN_TAG in tags
    ]
    return tuple(sorted(found))
