"""CompiledPlan → the local provider's resources. Pure: it names paths and touches none."""

from modelops.core.errors import ProviderError
from modelops.providers.base import (
    Component,
    ProviderPlan,
    ResourcePlan,
    StackPlan,
    database_binding,
    run_plans,
)
from modelops.providers.local.layout import LocalLayout
from modelops.spec.plan import (
    AlgorithmPlan,
    CompiledPlan,
    DatabasePlan,
    ObjectStorePlan,
    RegistryPlan,
    WorkerGroupPlan,
)

BUNDLE_REGISTRY = "modelops:local:BundleRegistry"
OBJECT_STORE = "modelops:local:ObjectStore"
DATABASE = "modelops:local:Database"
SCHEDULER = "modelops:local:Scheduler"
WORKER_GROUP = "modelops:local:WorkerGroup"
RUN = "modelops:local:Run"

# A cloud's spec can be tried on this machine: what only a cloud has is a folder here.
_CLOUD_KINDS = frozenset({"acr", "azure-blob", "s3", "gcs", "pvc"})


def compile_plan(plan: CompiledPlan, layout: LocalLayout) -> ProviderPlan:
    """Return the resources of every stack.

    Raises:
        ProviderError: if the plan asks for what can't be had on this machine.
    """
    if plan.provider.options:
        keys = ", ".join(plan.provider.options)
        raise ProviderError(
            f"spec.provider has keys that the local provider doesn't know: {keys}.",
            hint="Leave them out; the local provider has no settings of its own.",
        )
    stacks = [
        StackPlan(Component.REGISTRY, (_registry(plan.registry, layout),)),
        StackPlan(
            Component.INFRA,
            (
                _object_store(plan.object_store, layout),
                *(_database(database, layout) for database in plan.databases),
            ),
        ),
        StackPlan(
            Component.WORKSPACE,
            (
                ResourcePlan(SCHEDULER, "dask-scheduler", _process("dask-scheduler", layout)),
                *(_worker_group(group, layout) for group in plan.worker_groups),
            ),
        ),
    ]
    algorithms = {algorithm.name: algorithm for algorithm in plan.algorithms}
    for run_id, run in run_plans(plan):
        algorithm = algorithms[run.algorithm]
        name = f"run-{run_id}"
        properties = {
            **_process(name, layout),
            "run": {
                "run_id": run_id,
                "env": plan.env,
                "workers": algorithm.workers,
                "plan": run.to_json(),
            },
        }
        resource = ResourcePlan(RUN, name, properties, needs=run_needs(algorithm))
        stacks.append(StackPlan(Component.ADAPTIVE, (resource,), run_id, algorithm.name))
    return ProviderPlan("local", plan.env, tuple(stacks))


def run_needs(algorithm: AlgorithmPlan) -> tuple[str, ...]:
    """Return the bindings that a run of the algorithm reads."""
    return (
        "DASK_SCHEDULER",
        database_binding(algorithm.database),
        "OBJECT_STORE_URL",
        "MODELOPS_BUNDLE_REGISTRY",
    )


def _registry(registry: RegistryPlan, layout: LocalLayout) -> ResourcePlan:
    if registry.url is not None:
        return ResourcePlan(BUNDLE_REGISTRY, "bundles", {"url": registry.url})
    _only("registry.class", registry.kind, "oci-layout")
    return ResourcePlan(BUNDLE_REGISTRY, "bundles", {"path": str(layout.registry)})


def _object_store(store: ObjectStorePlan, layout: LocalLayout) -> ResourcePlan:
    _only("objectStore.class", store.kind, "local-dir")
    path = layout.object_store(store.name)
    return ResourcePlan(OBJECT_STORE, f"objects-{store.name}", {"path": str(path)})


def _database(database: DatabasePlan, layout: LocalLayout) -> ResourcePlan:
    _only(f"databases.{database.name}.engine", database.engine, "sqlite")
    properties = {
        "path": str(layout.database(database.name)),
        "binding": database_binding(database.name),
    }
    return ResourcePlan(DATABASE, f"database-{database.name}", properties)


def _worker_group(group: WorkerGroupPlan, layout: LocalLayout) -> ResourcePlan:
    if group.minimum != group.maximum or group.minimum < 1:
        raise ProviderError(
            f"spec.workerGroups.{group.name} is to scale between {group.minimum} and "
            f"{group.maximum}, which the local provider doesn't do yet.",
            hint="Write the same number, at least 1, for min and max.",
        )
    name = f"workers-{group.name}"
    properties = {
        **_process(name, layout),
        "group": group.name,
        "min": group.minimum,
        "max": group.maximum,
        "processes": group.processes,
        "threads": group.threads,
    }
    needs = ("DASK_SCHEDULER", "MODELOPS_BUNDLE_REGISTRY")
    return ResourcePlan(WORKER_GROUP, name, properties, needs=needs)


def _process(name: str, layout: LocalLayout) -> dict[str, str]:
    return {
        "root": str(layout.processes),
        "log": str(layout.log(name)),
        "home": str(layout.home),
    }


def _only(key: str, value: str | None, allowed: str) -> None:
    if value is not None and value != allowed and value not in _CLOUD_KINDS:
        raise ProviderError(
            f"spec.{key} is {value!r}, which the local provider doesn't run.",
            hint=f"Leave it out, or write {allowed}.",
        )
