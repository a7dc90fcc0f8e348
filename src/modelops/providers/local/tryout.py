"""A spec that is made for a cluster or a cloud, tried out on this machine. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from modelops.spec.plan import CompiledPlan, DatabasePlan, ObjectStorePlan, WorkerGroupPlan


def tried_out(plan: CompiledPlan) -> CompiledPlan:
    """Return a plan that this machine can do, of a file that names another provider.

    The plan of a file that names this one stays as it is: what can't be done is an error there.
    """
    if plan.provider.instead_of is None:
        return plan
    return replace(
        plan,
        databases=tuple(map(_tried_database, plan.databases)),
    )


def differences(plan: CompiledPlan) -> tuple[str, ...]:
    """Return a line for each thing that this machine does otherwise than the plan asks.

    Empty for a spec that is made for this machine.
    """
    tried = tried_out(plan)
    databases = zip(plan.databases, tried.databases, strict=True)
    return (
        *_provider(plan),
        *_registry(plan),
        *_object_store(plan.object_store),
        *(line for asked, done in databases for line in _database(asked, done)),
        *(line for group in plan.worker_groups for line in _worker_group(group)),
    )


def _tried_database(database: DatabasePlan) -> DatabasePlan:
    if database.engine == "postgres" and database.managed:
        return replace(database, engine=None)
    return database


def _provider(plan: CompiledPlan) -> Iterator[str]:
    written = plan.provider.instead_of
    if written is not None:
        yield f"spec.provider: this machine instead of {written.name}"
        yield from _unused("spec.provider", ((key, True) for key in written.options))


def _registry(plan: CompiledPlan) -> Iterator[str]:
    if plan.registry.kind == "acr":
        yield "spec.registry: a folder of OCI image layouts instead of acr"


def _object_store(store: ObjectStorePlan) -> Iterator[str]:
    if store.kind not in (None, "local-dir"):
        there = "" if store.managed else f"; {store.bucket} there isn't read or written"
        yield f"spec.objectStore: a folder instead of {store.kind}{there}"
    elif not store.managed:
        yield f"spec.objectStore: a new folder; {store.bucket}, which isn't managed, isn't touched"


def _database(database: DatabasePlan, done: DatabasePlan) -> Iterator[str]:
    where = f"spec.databases.{database.name}"
    if done.engine != database.engine:
        yield f"{where}: an SQLite file instead of {database.engine}"
    yield from _unused(
        where, (("size", database.size is not None), ("containerized", database.containerized))
    )


def _worker_group(group: WorkerGroupPlan) -> Iterator[str]:
    where = f"spec.workerGroups.{group.name}"
    if group.kind not in (None, "processes"):
        yield f"{where}: processes of this machine instead of {group.kind}"
    if group.image is not None:
        yield f"{where}: the Python that mops runs in instead of the image {group.image.ref}"
    if group.gpu is not None:
        gpus = " ".join(filter(None, (str(group.gpu.count), group.gpu.vendor, group.gpu.model)))
        yield f"{where}: no GPU is set aside; {gpus} were asked for"
    yield from _unused(
        where,
        (
            ("profile gpu", group.profile == "gpu" and group.gpu is None),
            ("spot", group.spot),
            ("resources.cpu", group.cpu is not None),
            ("resources.memory", group.memory is not None),
        ),
    )


def _unused(where: str, keys: Iterable[tuple[str, bool]]) -> Iterator[str]:
    there = [key for key, is_there in keys if is_there]
    if there:
        yield f"{where}: not used on this machine: {_listed(there)}"


def _listed(words: Iterable[str]) -> str:
    return ", ".join(words)
