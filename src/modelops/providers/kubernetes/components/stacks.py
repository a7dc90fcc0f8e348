"""A stack's plan → its components in the cluster, and what they hand on."""

from collections.abc import Mapping

from modelops.contracts import BindingOutputs
from modelops.providers.base import StackPlan
from modelops.providers.declaring import Bindings, Declare, declare_components
from modelops.providers.kubernetes import component_types as types
from modelops.providers.kubernetes.components.cluster import Cluster
from modelops.providers.kubernetes.components.databases import ExternalDatabase, PostgresDatabase
from modelops.providers.kubernetes.components.namespace import Namespace
from modelops.providers.kubernetes.components.registry import BundleRegistry, ExternalRegistry
from modelops.providers.kubernetes.components.run import Run
from modelops.providers.kubernetes.components.stores import (
    Cache,
    ExternalObjectStore,
    ObjectStore,
)
from modelops.providers.kubernetes.components.workers import Scaler, WorkerGroup
from modelops.providers.kubernetes.components.workspace import Quota, Scheduler, ServiceMonitor
from modelops.providers.kubernetes.kubeconfig import check_kubeconfig


def declare_stack(stack: StackPlan, upstream: BindingOutputs) -> Bindings:
    """Declare the stack's components in order; each sees what those before it handed on.

    Raises:
        ProviderError: if a component needs what nothing hands on, or there is no kubeconfig with
            the context.
    """
    # Every component says of which cluster it is, and all say the same.
    properties = stack.resources[0].properties
    check_kubeconfig(properties["cluster"].get("kubeconfig"), properties["cluster"].get("context"))
    cluster = Cluster(properties)
    return declare_components(stack, upstream, _components(cluster))


def _components(cluster: Cluster) -> Mapping[str, Declare]:
    return {
        types.NAMESPACE: lambda plan, _: Namespace(plan, cluster).bindings,
        types.BUNDLE_REGISTRY: lambda plan, _: BundleRegistry(plan, cluster).bindings,
        types.EXTERNAL_REGISTRY: lambda plan, _: ExternalRegistry(plan).bindings,
        types.OBJECT_STORE: lambda plan, _: ObjectStore(plan, cluster).bindings,
        types.EXTERNAL_STORE: lambda plan, _: ExternalObjectStore(plan).bindings,
        types.POSTGRES: lambda plan, _: PostgresDatabase(plan, cluster).bindings,
        types.EXTERNAL_DATABASE: lambda plan, _: ExternalDatabase(plan).bindings,
        types.CACHE: lambda plan, _: Cache(plan, cluster).bindings,
        types.QUOTA: lambda plan, _: Quota(plan, cluster).bindings,
        types.SCHEDULER: lambda plan, _: Scheduler(plan, cluster).bindings,
        types.WORKER_GROUP: lambda plan, known: WorkerGroup(plan, known, cluster).bindings,
        types.SCALER: lambda plan, known: Scaler(plan, known, cluster).bindings,
        types.SERVICE_MONITOR: lambda plan, _: ServiceMonitor(plan, cluster).bindings,
        types.RUN: lambda plan, known: Run(plan, known, cluster).bindings,
    }
