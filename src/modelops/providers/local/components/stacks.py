"""A stack's plan → its components, and what they hand on."""

from collections.abc import Mapping

from modelops.contracts import BindingOutputs
from modelops.providers.base import StackPlan
from modelops.providers.declaring import Bindings, Declare, declare_components
from modelops.providers.local import plan
from modelops.providers.local.components.databases import (
    ExternalDatabase,
    PostgresDatabase,
    SqliteDatabase,
)
from modelops.providers.local.components.registry import BundleRegistry
from modelops.providers.local.components.run import Run
from modelops.providers.local.components.stores import ObjectStore
from modelops.providers.local.components.workspace import Scheduler, WorkerGroup

_COMPONENTS: Mapping[str, Declare] = {
    plan.BUNDLE_REGISTRY: lambda resource, _: BundleRegistry(resource).bindings,
    plan.OBJECT_STORE: lambda resource, _: ObjectStore(resource).bindings,
    plan.SQLITE: lambda resource, _: SqliteDatabase(resource).bindings,
    plan.POSTGRES: lambda resource, _: PostgresDatabase(resource).bindings,
    plan.EXTERNAL_DATABASE: lambda resource, _: ExternalDatabase(resource).bindings,
    plan.SCHEDULER: lambda resource, _: Scheduler(resource).bindings,
    plan.WORKER_GROUP: lambda resource, known: WorkerGroup(resource, known).bindings,
    plan.RUN: lambda resource, known: Run(resource, known).bindings,
}


def declare_stack(stack: StackPlan, upstream: BindingOutputs) -> Bindings:
    """Declare the stack's components in order; each sees what those before it handed on.

    Raises:
        ProviderError: if a component needs what nothing hands on.
    """
    return declare_components(stack, upstream, _COMPONENTS)
