"""The registry, the object store and the databases of a plan. Pure."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from modelops.core.errors import ProviderError
from modelops.providers.base import ResourcePlan, database_binding
from modelops.providers.kubernetes import component_types as types
from modelops.providers.kubernetes import names
from modelops.providers.kubernetes.images import runner_image
from modelops.providers.kubernetes.quantities import memory_quantity, resources
from modelops.providers.kubernetes.settings import SMALL, Settings
from modelops.spec.plan import CompiledPlan, DatabasePlan, ObjectStorePlan, RegistryPlan
from modelops.spec.units import parse_cpu, parse_memory

NAMESPACE_BINDING = "MODELOPS_NAMESPACE"
"""The namespace: whatever is made in it needs it, and comes after it."""

_SCHEMES = {"s3": "s3", "gcs": "gs", "azure-blob": "abfs"}
# CPU, memory and volume of a database's server; journals are small.
_SIZES = {
    "small": ("100m", "512Mi", "10Gi"),
    "medium": ("1", "2Gi", "50Gi"),
    "large": ("4", "8Gi", "200Gi"),
}
# The labels of a StatefulSet's pods add `database-`, `-` and a hash of ten digits.
_MAX_DATABASE_NAME = 40
_REGISTRY = "MODELOPS_BUNDLE_REGISTRY"


def for_a_cluster(plan: CompiledPlan) -> tuple[CompiledPlan, tuple[str, ...]]:
    """Return a plan that a cluster can do, of a file that names another provider, and the notes.

    The plan of a file that names this one stays as it is: what can't be done is an error there.
    """
    if plan.provider.instead_of is None:
        return plan, ()
    notes = [f"spec.provider: a Kubernetes cluster instead of {plan.provider.instead_of.name}"]
    registry, store = plan.registry, plan.object_store
    if registry.kind in ("acr", "oci-layout"):
        notes.append(f"spec.registry: a registry in the cluster instead of {registry.kind}")
        registry = replace(registry, kind=None)
    if store.managed and store.kind not in (None, "pvc"):
        notes.append(f"spec.objectStore: a volume in the cluster instead of {store.kind}")
        store = replace(store, kind=None, bucket=None)
    databases = []
    for database in plan.databases:
        if database.engine == "sqlite":
            notes.append(f"spec.databases.{database.name}: PostgreSQL instead of an SQLite file")
            database = replace(database, engine=None)  # noqa: PLW2901
        databases.append(database)
    changed = replace(plan, registry=registry, object_store=store, databases=tuple(databases))
    return changed, tuple(notes)


def registry_bindings(plan: CompiledPlan, settings: Settings) -> tuple[str, ...]:
    """Return the bindings by which the bundle registry is reached."""
    if plan.registry.url is None:
        return (_REGISTRY, f"{_REGISTRY}_USERNAME", f"{_REGISTRY}_PASSWORD", f"{_REGISTRY}_CA")
    login = settings.options.registry
    given = (
        (_REGISTRY, True),
        (f"{_REGISTRY}_USERNAME", login.username),
        (f"{_REGISTRY}_PASSWORD", login.password_from),
        (f"{_REGISTRY}_CA", login.ca_from),
        ("MODELOPS_BUNDLE_INSECURE", login.insecure),
    )
    return tuple(name for name, value in given if value)


def store_access(plan: CompiledPlan, settings: Settings) -> tuple[str, ...]:
    """Return the bindings that whoever opens the object store needs beside its URL."""
    access = settings.options.object_store
    return () if _is_volume(plan.object_store) else (*access.env, *access.secret_env)


def objects_claim(store: ObjectStorePlan) -> str | None:
    """Return the claim that workers and runs mount; None for a store outside of the cluster."""
    return (store.bucket or names.objects(store.name)) if _is_volume(store) else None


def plan_registry(registry: RegistryPlan, plan: CompiledPlan, settings: Settings) -> ResourcePlan:
    """Return the bundle registry.

    Raises:
        ProviderError: if it is of a kind that a cluster can't run.
    """
    gives = registry_bindings(plan, settings)
    if registry.url is not None:
        login = settings.options.registry.model_dump(by_alias=True, exclude_defaults=True)
        properties = {"url": registry.url, "login": login, **settings.common()}
        return ResourcePlan(types.EXTERNAL_REGISTRY, "bundles", properties, gives=gives)
    if registry.kind not in (None, "distribution"):
        raise ProviderError(
            f"spec.registry.class is {registry.kind!r}, which a cluster doesn't run.",
            hint="Leave it out for a registry in the cluster, or write `class: external` and the "
            "url of one that is there already.",
        )
    properties = {
        "volume": _volume(settings, settings.options.volumes.registry, access="ReadWriteOnce"),
        **settings.pod(settings.options.images.registry, SMALL),
        **settings.common(),
    }
    needs = (NAMESPACE_BINDING,)
    return ResourcePlan(types.BUNDLE_REGISTRY, names.REGISTRY, properties, needs, gives)


def plan_object_store(plan: CompiledPlan, settings: Settings) -> ResourcePlan:
    """Return the object store.

    Raises:
        ProviderError: if it is of a kind that can't be had here.
    """
    store, name = plan.object_store, names.objects(plan.object_store.name)
    needs, gives = (NAMESPACE_BINDING,), ("OBJECT_STORE_URL", *store_access(plan, settings))
    if _is_volume(store):
        properties = {
            "claim": objects_claim(store),
            "managed": store.managed,
            "volume": _volume(settings, settings.options.volumes.objects),
            **settings.pod(runner_image(settings.options.images), SMALL),
            **settings.common(),
        }
        return ResourcePlan(types.OBJECT_STORE, name, properties, needs, gives)
    if store.kind not in _SCHEMES:
        raise ProviderError(
            f"spec.objectStore.class is {store.kind!r}, which a cluster doesn't have.",
            hint=f"Leave it out, or write pvc, {', '.join(_SCHEMES)}.",
        )
    if store.managed:
        raise ProviderError(
            f"spec.objectStore is of class {store.kind}, and the provider kubernetes makes none.",
            hint="Make it yourself, then write `managed: false` and its `bucket`; or leave the "
            "class out for a volume in the cluster.",
        )
    access = settings.options.object_store
    properties = {
        "url": f"{_SCHEMES[store.kind]}://{store.bucket}",
        "variables": dict(access.env),
        "secret_variables": dict(access.secret_env),
        **settings.common(),
    }
    return ResourcePlan(types.EXTERNAL_STORE, name, properties, needs, gives)


def plan_databases(plan: CompiledPlan, settings: Settings) -> Iterator[ResourcePlan]:
    """Yield the databases.

    Raises:
        ProviderError: if one can't be had in a cluster.
    """
    for database in plan.databases:
        yield _database(database, settings)


def _database(database: DatabasePlan, settings: Settings) -> ResourcePlan:
    where, name = f"spec.databases.{database.name}", names.database(database.name)
    needs, binding = (NAMESPACE_BINDING,), database_binding(database.name)
    if database.url_from is not None:
        properties = {"binding": binding, "secret": database.url_from, **settings.common()}
        return ResourcePlan(types.EXTERNAL_DATABASE, name, properties, needs, (binding,))
    if database.engine not in (None, "postgres"):
        raise ProviderError(
            f"{where}.engine is {database.engine!r}, which doesn't work on a cluster's volumes.",
            hint="Leave it out for PostgreSQL in the cluster, or name one that is there already: "
            "`external: {urlFrom: SECRET}`.",
        )
    if len(database.name) > _MAX_DATABASE_NAME:
        raise ProviderError(
            f"{where}: a database's name has at most {_MAX_DATABASE_NAME} characters in a cluster.",
            hint="Choose a shorter name.",
        )
    if database.size not in (None, *_SIZES):
        raise ProviderError(
            f"{where}.size is {database.size!r}.", hint=f"Write {' or '.join(_SIZES)}."
        )
    cpu, memory, volume = _SIZES[database.size or "small"]
    asks_for = resources(parse_cpu(cpu), parse_memory(memory))
    size = settings.options.volumes.database or volume
    properties = {
        "binding": binding,
        "volume": _volume(settings, size, access="ReadWriteOnce"),
        "memory": parse_memory(memory),
        **settings.pod(settings.options.images.postgres, asks_for),
        **settings.common(),
    }
    return ResourcePlan(types.POSTGRES, name, properties, needs, (binding,))


def _volume(settings: Settings, size: str | float, *, access: str | None = None) -> dict[str, Any]:
    options = settings.options
    volume = {
        "size": memory_quantity(parse_memory(size)),
        "access_mode": access or options.access_mode,
        "storage_class": options.storage_class,
    }
    return {key: value for key, value in volume.items() if value is not None}


def plan_cache(settings: Settings) -> ResourcePlan | None:
    """Return the volume for what all pods fetch and install, if there is to be one."""
    cache = settings.options.cache
    if cache is None:
        return None
    volume = _volume(settings, cache.size, access=cache.access_mode)
    if cache.storage_class is not None:
        volume["storage_class"] = cache.storage_class
    properties = {"volume": volume, **settings.common()}
    return ResourcePlan(types.CACHE, names.CACHE, properties, (NAMESPACE_BINDING,))


def _is_volume(store: ObjectStorePlan) -> bool:
    return store.kind in (None, "pvc")
