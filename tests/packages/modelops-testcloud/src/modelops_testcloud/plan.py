"""CompiledPlan → the resources of testcloud: pure data."""

from pathlib import PurePosixPath
from urllib.parse import urlsplit

from modelops.core.errors import ProviderError
from modelops.providers.base import (
    Component,
    ProviderPlan,
    ResourcePlan,
    StackPlan,
    database_binding,
    run_plans,
)
from modelops.spec import CompiledPlan

FOLDER = "testcloud:index:Folder"
SCHEDULER = "testcloud:index:SharedScheduler"
WORKERS = "testcloud:index:Workers"
RUN = "testcloud:index:Run"


def compile_plan(plan: CompiledPlan) -> ProviderPlan:
    """Return the resources of every stack.

    Raises:
        ProviderError: if the spec asks for what isn't here.
    """
    place = _folder(plan) / plan.env
    registry = _kept("bundles", place, "MODELOPS_BUNDLE_REGISTRY", "oci-layout://{path}")
    results = _kept("results", place, "OBJECT_STORE_URL", "file://{path}")
    journals = [
        _kept(
            f"journal-{database.name}",
            place,
            database_binding(database.name),
            "sqlite:///{path}/journal.sqlite",
        )
        for database in plan.databases
    ]
    address = _scheduler(plan)
    scheduler = ResourcePlan(
        SCHEDULER, "scheduler", {"address": address}, gives=("DASK_SCHEDULER",)
    )
    workers = [
        ResourcePlan(
            WORKERS,
            f"workers-{group.name}",
            {
                "group": f"{plan.env}-{group.name}",
                "replicas": group.maximum,
                "processes": group.processes,
                "threads": group.threads,
                "place": str(place),
            },
            needs=("DASK_SCHEDULER", "MODELOPS_BUNDLE_REGISTRY"),
        )
        for group in plan.worker_groups
    ]
    _refuse_other_classes(plan)
    stacks = (
        StackPlan(Component.REGISTRY, (registry,)),
        StackPlan(Component.INFRA, (results, *journals)),
        StackPlan(Component.WORKSPACE, (scheduler, *workers)),
    )
    return ProviderPlan("testcloud", plan.env, (*stacks, *_runs(plan, place)))


def _runs(plan: CompiledPlan, place: PurePosixPath) -> list[StackPlan]:
    algorithms = {algorithm.name: algorithm for algorithm in plan.algorithms}
    stacks = []
    for run_id, run in run_plans(plan):
        algorithm = algorithms[run.algorithm]
        request = {
            "run_id": run_id,
            "env": plan.env,
            # All environments share one scheduler, so that a group's name says whose it is.
            "workers": f"{plan.env}-{algorithm.workers}",
            "plan": run.to_json(),
        }
        needs = ("DASK_SCHEDULER", "OBJECT_STORE_URL", "MODELOPS_BUNDLE_REGISTRY")
        database = database_binding(algorithm.database)
        properties = {"place": str(place), "database": database, "request": request}
        resource = ResourcePlan(RUN, f"run-{run_id}", properties, needs=(*needs, database))
        stacks.append(StackPlan(Component.ADAPTIVE, (resource,), run_id, algorithm.name))
    return stacks


def _kept(name: str, place: PurePosixPath, binding: str, url: str) -> ResourcePlan:
    path = str(place / name)
    properties = {"path": path, "binding": binding, "url": url.format(path=path)}
    return ResourcePlan(FOLDER, name, properties, gives=(binding,))


def _folder(plan: CompiledPlan) -> PurePosixPath:
    folder = PurePosixPath(str(plan.provider.options.get("folder", "")))
    if not folder.is_absolute():
        raise ProviderError(
            "spec.provider.folder isn't an absolute path.",
            hint="Name the folder that all environments share: folder: /srv/testcloud",
        )
    return folder


def _scheduler(plan: CompiledPlan) -> str:
    address = str(plan.provider.options.get("scheduler", ""))
    parts = urlsplit(address)
    if parts.scheme not in ("tcp", "tls") or parts.hostname is None or parts.port is None:
        raise ProviderError(
            "spec.provider.scheduler isn't the address of a Dask scheduler.",
            hint="Start one with `dask scheduler`, and write what it says: tcp://127.0.0.1:8786",
        )
    return address


def _refuse_other_classes(plan: CompiledPlan) -> None:
    asked = [
        ("spec.registry.class", plan.registry.kind, "oci-layout"),
        ("spec.objectStore.class", plan.object_store.kind, "local-dir"),
        *(
            (f"spec.databases.{database.name}.engine", database.engine, "sqlite")
            for database in plan.databases
        ),
    ]
    for key, value, only in asked:
        if value not in (None, only):
            raise ProviderError(
                f"{key} is {value!r}, which testcloud doesn't have.",
                hint=f"Leave it out, or write {only}.",
            )
