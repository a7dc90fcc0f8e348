"""KubernetesProvider: the plugin that the entry point `modelops.providers` names `kubernetes`."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, ClassVar

from modelops.contracts import BindingOutputs
from modelops.core.secrets import SecretStore
from modelops.providers.base import Component, ProviderPlan, StackPlan, StackView
from modelops.providers.health import PartHealth
from modelops.providers.kubernetes import deleting, health, logs, looking, parts, reaching
from modelops.providers.kubernetes.extra import require_extra
from modelops.providers.kubernetes.plan import compile_plan
from modelops.providers.kubernetes.secret_store import NamespaceSecrets
from modelops.providers.kubernetes.troubles import find_troubles
from modelops.spec.models import KubernetesOptions, ProviderOptions
from modelops.spec.plan import CompiledPlan

if TYPE_CHECKING:
    from pulumi import Output


class KubernetesProvider:
    """A cluster that is there already: one namespace for each environment."""

    name = "kubernetes"
    options_model: ClassVar[type[ProviderOptions]] = KubernetesOptions
    # Certificates and passwords are made by our own plugin.
    shared_plugins = ("modelops",)
    refreshes = True

    def compile(self, plan: CompiledPlan) -> ProviderPlan:
        """Turn a plan into objects of a namespace."""
        return compile_plan(plan)

    def declare(self, stack: StackPlan, upstream: BindingOutputs) -> Output[BindingOutputs]:
        """Declare a stack's components inside its Pulumi program."""
        require_extra()
        # The components import pulumi, which a plan alone doesn't need.
        from modelops.providers.kubernetes.components.stacks import (  # noqa: PLC0415
            declare_stack,
        )

        return declare_stack(stack, upstream)

    def troubles(self, stack: StackPlan, since: datetime.datetime) -> tuple[str, ...]:
        """Ask the cluster why pods and volumes of the namespace aren't ready."""
        return find_troubles(stack.resources[0].properties, since)

    def look(self, plan: ProviderPlan, outputs: Mapping[str, Any]) -> Mapping[str, Any]:
        """Ask the cluster for an object; a run's Job that has ended has an exit code."""
        return looking.look(plan, outputs)

    def end_leftovers(
        self, plan: ProviderPlan, stack: str, known: frozenset[str]
    ) -> tuple[str, ...]:
        """Do nothing: objects have names, and the next `up` finds them under these."""
        return ()

    def delete_data(self, plan: ProviderPlan) -> tuple[str, ...]:
        """Delete the namespace or, if that is somebody else's, volumes and secrets in it."""
        return deleting.delete_data(plan)

    def health(
        self, plan: ProviderPlan, stack: StackView, seconds: float
    ) -> tuple[PartHealth, ...]:
        """Ask the cluster how the pods of each part are: their probes ask whether they work."""
        return health.check_stack(plan, stack, seconds)

    def parts(self, plan: ProviderPlan) -> Mapping[str, Component]:
        """Return what pods there are, by the part that they are of."""
        return parts.parts(plan)

    def logs(
        self, plan: ProviderPlan, part: str, *, follow: bool = False, tail: int | None = None
    ) -> Iterator[str]:
        """Yield the lines that the pods of a part wrote."""
        return logs.follow(plan, part, tail) if follow else logs.read(plan, part, tail)

    def reach(
        self, plan: ProviderPlan, bindings: BindingOutputs
    ) -> AbstractContextManager[BindingOutputs]:
        """Give the block ports of this machine that lead to pods, and secrets as files."""
        return reaching.reach(plan, bindings)

    def secrets(self, plan: ProviderPlan) -> SecretStore:
        """Return the Secret that runs and workers mount."""
        return NamespaceSecrets.of(plan)
