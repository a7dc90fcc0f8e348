"""CompiledPlan → the resources of a Kubernetes cluster. Pure: nobody is asked."""

from collections.abc import Iterator
from typing import Any

from modelops.contracts import RunPlan
from modelops.core.errors import ProviderError
from modelops.providers.base import (
    Component,
    ProviderPlan,
    ResourcePlan,
    StackPlan,
    run_part,
    run_plans,
)
from modelops.providers.kubernetes import commands, groups, names, stores
from modelops.providers.kubernetes import component_types as types
from modelops.providers.kubernetes.images import runner_image, scheduler_image
from modelops.providers.kubernetes.quantities import cpu_quantity, memory_quantity
from modelops.providers.kubernetes.settings import SMALL, Settings
from modelops.providers.kubernetes.stores import NAMESPACE_BINDING
from modelops.providers.needs import CERTIFICATE_BINDING, DASK_BINDINGS, run_needs
from modelops.spec.models.kubernetes import Quota
from modelops.spec.plan import AlgorithmPlan, CompiledPlan, WorkerGroupPlan
from modelops.spec.units import parse_cpu, parse_duration, parse_memory

# A Job's name is the value of a label of its pods.
_MAX_RUN_ID = 63 - len(run_part(""))
# How long a worker may take beyond its own time of grace, to hand on what it has.
_LEEWAY_SECONDS = 30


def compile_plan(plan: CompiledPlan) -> ProviderPlan:
    """Return the resources of every stack.

    Raises:
        ProviderError: if the plan asks for what can't be had in a cluster.
    """
    settings = Settings.of(plan)
    plan, notes_of_stores = stores.for_a_cluster(plan)
    plan, notes_of_groups = groups.for_a_cluster(plan, settings)
    stacks = [
        StackPlan(
            Component.REGISTRY,
            (_namespace(plan, settings), stores.plan_registry(plan.registry, plan, settings)),
        ),
        StackPlan(
            Component.INFRA,
            (
                stores.plan_object_store(plan, settings),
                *stores.plan_databases(plan, settings),
            ),
        ),
        StackPlan(Component.WORKSPACE, tuple(_workspace(plan, settings))),
    ]
    algorithms = {algorithm.name: algorithm for algorithm in plan.algorithms}
    for run_id, run in run_plans(plan):
        resource = _run(run_id, run, algorithms[run.algorithm], plan, settings)
        stacks.append(StackPlan(Component.ADAPTIVE, (resource,), run_id, run.algorithm))
    notes = (*notes_of_stores, *notes_of_groups, *groups.notes(plan), *_notes(plan))
    return ProviderPlan(plan.provider.name, plan.env, tuple(stacks), notes)


def _notes(plan: CompiledPlan) -> Iterator[str]:
    registry = plan.registry
    if registry.url is None and not (registry.tls and registry.auth):
        yield (
            "spec.registry: with a password and TLS in any case, as everybody in the cluster "
            "can reach it"
        )


def _namespace(plan: CompiledPlan, settings: Settings) -> ResourcePlan:
    identity = settings.options.workload_identity
    properties = {
        "create": settings.options.create_namespace,
        "annotations": {} if identity is None else dict(identity.annotations),
        **settings.common(),
    }
    gives = (NAMESPACE_BINDING,)
    return ResourcePlan(types.NAMESPACE, "namespace", properties, gives=gives)


def _workspace(plan: CompiledPlan, settings: Settings) -> Iterator[ResourcePlan]:
    options = settings.options
    if options.quota is not None:
        properties = {"hard": _hard(options.quota), **settings.common()}
        yield ResourcePlan(types.QUOTA, names.QUOTA, properties, (NAMESPACE_BINDING,))
    cache = stores.plan_cache(settings)
    if cache is not None:
        yield cache
    properties = {
        "command": commands.scheduler(),
        **settings.pod(scheduler_image(options.images), settings.share(options.scheduler)),
        **settings.common(),
    }
    yield ResourcePlan(
        types.SCHEDULER, names.SCHEDULER, properties, (NAMESPACE_BINDING,), DASK_BINDINGS
    )
    for group in plan.worker_groups:
        yield _worker_group(group, plan, settings)
    scaled = [group for group in plan.worker_groups if groups.is_scaled(group)]
    if scaled:
        yield _scaler(scaled, plan, settings)
    if options.service_monitor is not None:
        properties = {
            "interval_seconds": round(parse_duration(options.service_monitor.interval)),
            "labels": dict(options.service_monitor.labels),
            **settings.common(),
        }
        yield ResourcePlan(types.SERVICE_MONITOR, names.METRICS, properties, (NAMESPACE_BINDING,))


def _worker_group(group: WorkerGroupPlan, plan: CompiledPlan, settings: Settings) -> ResourcePlan:
    grace = settings.grace_seconds
    properties = {
        "group": group.name,
        "min": group.minimum,
        "max": group.maximum,
        "processes": group.processes,
        "threads": group.threads,
        "command": commands.worker(group.name, group.processes, group.threads, grace),
        "end_seconds": grace + _LEEWAY_SECONDS,
        **groups.group_properties(group, settings),
        **_simulating(plan, settings),
        **settings.common(),
    }
    needs = (
        *(NAMESPACE_BINDING, "DASK_SCHEDULER", CERTIFICATE_BINDING),
        *stores.store_access(plan, settings),
        *stores.registry_bindings(plan, settings),
    )
    return ResourcePlan(types.WORKER_GROUP, groups.deployment(group.name, plan), properties, needs)


def _scaler(scaled: list[WorkerGroupPlan], plan: CompiledPlan, settings: Settings) -> ResourcePlan:
    properties = {
        "groups": [
            {
                "name": group.name,
                "deployment": groups.deployment(group.name, plan),
                "min": group.minimum,
                "max": group.maximum,
                "slots": group.processes * group.threads,
            }
            for group in scaled
        ],
        "command": commands.scaler(settings.namespace),
        **settings.pod(runner_image(settings.options.images), SMALL),
        **settings.common(),
    }
    needs = (NAMESPACE_BINDING, *DASK_BINDINGS)
    return ResourcePlan(types.SCALER, names.SCALER, properties, needs)


def _run(
    run_id: str, run: RunPlan, algorithm: AlgorithmPlan, plan: CompiledPlan, settings: Settings
) -> ResourcePlan:
    if len(run_id) > _MAX_RUN_ID:
        raise ProviderError(
            f"The run-id {run_id} has {len(run_id)} characters; in a cluster it has at most "
            f"{_MAX_RUN_ID}.",
            hint="Choose a shorter one, or a shorter name for the algorithm.",
        )
    properties = {
        "run": {
            "run_id": run_id,
            "env": plan.env,
            "workers": algorithm.workers,
            "plan": run.to_json(),
        },
        "command": commands.runner(),
        **settings.pod(
            runner_image(settings.options.images), settings.share(settings.options.runner)
        ),
        **_simulating(plan, settings),
        **settings.common(),
    }
    needs = (
        NAMESPACE_BINDING,
        *run_needs(algorithm, stores.registry_bindings(plan, settings)),
        *stores.store_access(plan, settings),
    )
    return ResourcePlan(types.RUN, names.run(run_id), properties, needs)


def _simulating(plan: CompiledPlan, settings: Settings) -> dict[str, Any]:
    """Return what workers and runs have beside other pods."""
    options = settings.options
    identity = options.workload_identity
    return {
        "objects": stores.objects_claim(plan.object_store),
        "cache": None if options.cache is None else names.CACHE,
        "identity": {} if identity is None else dict(identity.pod_labels),
        "secret_variables": dict(options.object_store.secret_env),
    }


def _hard(quota: Quota) -> dict[str, str]:
    hard = {
        "requests.cpu": None if quota.cpu is None else cpu_quantity(parse_cpu(quota.cpu)),
        "requests.memory": (
            None if quota.memory is None else memory_quantity(parse_memory(quota.memory))
        ),
        "pods": None if quota.pods is None else str(quota.pods),
        "requests.nvidia.com/gpu": None if quota.gpus is None else str(quota.gpus),
    }
    return {key: value for key, value in hard.items() if value is not None}
