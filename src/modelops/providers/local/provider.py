"""LocalProvider: the plugin that the entry point `modelops.providers` names `local`."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from modelops.contracts import BindingOutputs
from modelops.core.settings import Home
from modelops.providers.base import ProviderPlan, StackPlan
from modelops.providers.local.layout import LocalLayout
from modelops.providers.local.plan import compile_plan
from modelops.providers.local.plugin import directory, process
from modelops.spec.plan import CompiledPlan

if TYPE_CHECKING:
    from pulumi import Output


class LocalProvider:
    """Everything on this machine: directories, SQLite, Dask and the runner as processes."""

    name = "local"

    def compile(self, plan: CompiledPlan) -> ProviderPlan:
        """Turn a plan into directories and processes under MODELOPS_HOME."""
        return compile_plan(plan, LocalLayout.of(Home.current(), plan.env))

    def declare(self, stack: StackPlan, upstream: BindingOutputs) -> Output[BindingOutputs]:
        """Declare a stack's components inside its Pulumi program."""
        # The components import pulumi, which a plan alone doesn't need.
        from modelops.providers.local.components.stacks import declare_stack  # noqa: PLC0415

        return declare_stack(stack, upstream)

    def look(self, outputs: Mapping[str, Any]) -> Mapping[str, Any]:
        """Look whether a process lives or has finished, or a folder is there."""
        if "command" in outputs.get("inputs", {}):
            return process.refreshed(dict(outputs))
        return directory.refreshed(dict(outputs)) if "path" in outputs else outputs

    def delete_data(self, plan: ProviderPlan) -> tuple[str, ...]:
        """Remove bundles, results, databases and logs of the environment."""
        layout = LocalLayout.of(Home.current(), plan.env)
        there = [path for path in layout.data_directories() if path.exists()]
        for path in there:
            shutil.rmtree(path)
        if layout.root.exists() and not any(layout.root.iterdir()):
            layout.root.rmdir()
        return tuple(str(path) for path in there)

    def log_paths(self, plan: ProviderPlan) -> Mapping[str, str]:
        """Return the log file of every process, by the process's name."""
        layout = LocalLayout.of(Home.current(), plan.env)
        return {path.stem: str(path) for path in sorted(layout.logs.glob("*.log"))}
