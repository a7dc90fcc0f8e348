"""A stack's plan → its components, and what they hand on."""

from collections.abc import Callable, Mapping
from functools import reduce

import pulumi

from modelops.contracts import BindingOutputs
from modelops.providers.base import ResourcePlan, StackPlan
from modelops.providers.local import plan
from modelops.providers.local.components.bindings import Bindings
from modelops.providers.local.components.run import Run
from modelops.providers.local.components.stores import BundleRegistry, Database, ObjectStore
from modelops.providers.local.components.workspace import Scheduler, WorkerGroup

_COMPONENTS: Mapping[str, Callable[[ResourcePlan, Bindings], Bindings]] = {
    plan.BUNDLE_REGISTRY: lambda resource, _: BundleRegistry(resource).bindings,
    plan.OBJECT_STORE: lambda resource, _: ObjectStore(resource).bindings,
    plan.DATABASE: lambda resource, _: Database(resource).bindings,
    plan.SCHEDULER: lambda resource, _: Scheduler(resource).bindings,
    plan.WORKER_GROUP: lambda resource, known: WorkerGroup(resource, known).bindings,
    plan.RUN: lambda resource, known: Run(resource, known).bindings,
}


def declare_stack(stack: StackPlan, upstream: BindingOutputs) -> Bindings:
    """Declare the stack's components in order; each sees what those before it handed on."""
    declared: list[Bindings] = []
    for resource in stack.resources:
        known = _merged([pulumi.Output.from_input(upstream), *declared])
        declared.append(_COMPONENTS[resource.type](resource, known))
    return _merged(declared)


def _merged(bindings: list[Bindings]) -> Bindings:
    return pulumi.Output.all(*bindings).apply(
        lambda all_of: reduce(BindingOutputs.merged, all_of, BindingOutputs())
    )
