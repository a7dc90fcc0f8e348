"""LocalProvider: the plugin that the entry point `modelops.providers` names `local`."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, ClassVar

from modelops.contracts import BindingOutputs
from modelops.core.errors import NotThereError, UsageError
from modelops.core.secrets import SecretFolder, SecretStore
from modelops.core.settings import Home
from modelops.providers.base import Component, ProviderPlan, StackPlan, StackView
from modelops.providers.health import PartHealth
from modelops.providers.local import logs
from modelops.providers.local.layout import LocalLayout
from modelops.providers.local.plan import compile_plan
from modelops.providers.local.plugin import leftovers
from modelops.providers.local.plugin.kinds import kind_of_state
from modelops.spec.models import LocalOptions, ProviderOptions
from modelops.spec.plan import CompiledPlan

if TYPE_CHECKING:
    from pulumi import Output

IDLE_VARIABLE = "MODELOPS_IDLE_SECONDS"
"""Environment variable: how long a worker above the group's min isn't needed before it's ended."""


class LocalProvider:
    """Everything on this machine: directories, SQLite, Dask and the runner as processes."""

    name = "local"
    options_model: ClassVar[type[ProviderOptions]] = LocalOptions
    shared_plugins = ("modelops",)
    # Our own plugin looks at the machine whenever it compares.
    refreshes = False

    def compile(self, plan: CompiledPlan) -> ProviderPlan:
        """Turn a plan into directories and processes under MODELOPS_HOME."""
        return compile_plan(plan, LocalLayout.of(Home.current(), plan.env), _idle_seconds())

    def declare(self, stack: StackPlan, upstream: BindingOutputs) -> Output[BindingOutputs]:
        """Declare a stack's components inside its Pulumi program."""
        # The components import pulumi, which a plan alone doesn't need.
        from modelops.providers.local.components.stacks import declare_stack  # noqa: PLC0415

        return declare_stack(stack, upstream)

    def look(self, plan: ProviderPlan, outputs: Mapping[str, Any]) -> Mapping[str, Any]:
        """Look whether a process lives or has finished, or a folder or file is there."""
        kind = kind_of_state(outputs)
        return outputs if kind is None else kind.refreshed(outputs)

    def end_leftovers(
        self, plan: ProviderPlan, stack: str, known: frozenset[str]
    ) -> tuple[str, ...]:
        """End processes of the stack that a killed engine had no time to note."""
        root = LocalLayout.of(Home.current(), plan.env).processes
        return leftovers.end_leftovers(root, stack, known)

    def delete_data(self, plan: ProviderPlan) -> tuple[str, ...]:
        """Remove bundles, results, databases and logs of the environment."""
        layout = LocalLayout.of(Home.current(), plan.env)
        there = [path for path in layout.data_directories() if path.exists()]
        for path in there:
            shutil.rmtree(path)
        # The user's own secrets may be beside those of the stacks.
        for folder in (layout.root, layout.secrets.parent, layout.secrets.parent.parent):
            if folder.exists() and not any(folder.iterdir()):
                folder.rmdir()
        return tuple(str(path) for path in there)

    def health(
        self, plan: ProviderPlan, stack: StackView, seconds: float
    ) -> tuple[PartHealth, ...]:
        """Look at processes and folders, and ask those that listen."""
        # What asks databases and schedulers takes long to import.
        from modelops.providers.local.health import check_stack  # noqa: PLC0415

        return check_stack(plan, stack, seconds)

    def parts(self, plan: ProviderPlan) -> Mapping[str, Component]:
        """Return every process that has a log."""
        return logs.parts(plan, LocalLayout.of(Home.current(), plan.env))

    def logs(
        self, plan: ProviderPlan, part: str, *, follow: bool = False, tail: int | None = None
    ) -> Iterator[str]:
        """Yield the lines that a process wrote to stdout and stderr."""
        layout = LocalLayout.of(Home.current(), plan.env)
        if part not in logs.parts(plan, layout):
            raise NotThereError(f"{part} has no log.", hint="See which there are: mops logs --list")
        path = layout.log(part)
        return logs.follow(path, tail) if follow else logs.read(path, tail)

    def reach(
        self, plan: ProviderPlan, bindings: BindingOutputs
    ) -> AbstractContextManager[BindingOutputs]:
        """Give the block the bindings as they are: everything is on this machine."""
        return nullcontext(bindings)

    def secrets(self, plan: ProviderPlan) -> SecretStore:
        """Return the folder of the environment's secrets: runs on this machine read it."""
        return SecretFolder(Home.current().secrets(plan.env))


def _idle_seconds() -> float | None:
    text = os.environ.get(IDLE_VARIABLE)
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise UsageError(f"{IDLE_VARIABLE} is {text!r}; it must be a number of seconds.")
    return seconds
