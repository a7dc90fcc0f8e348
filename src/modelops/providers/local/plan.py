"""CompiledPlan → the local provider's resources. Pure: it names paths and touches none."""

from typing import Any

from modelops.core.errors import ProviderError
from modelops.providers.base import (
    Component,
    ProviderPlan,
    ResourcePlan,
    StackPlan,
    database_binding,
    run_part,
    run_plans,
)
from modelops.providers.local.layout import LocalLayout
from modelops.providers.local.tryout import differences, tried_out
from modelops.providers.needs import CERTIFICATE_BINDING, DASK_BINDINGS, run_needs
from modelops.spec.plan import (
    CompiledPlan,
    DatabasePlan,
    ObjectStorePlan,
    RegistryPlan,
    WorkerGroupPlan,
)

BUNDLE_REGISTRY = "modelops:local:BundleRegistry"
OBJECT_STORE = "modelops:local:ObjectStore"
SQLITE = "modelops:local:Database"
POSTGRES = "modelops:local:PostgresDatabase"
EXTERNAL_DATABASE = "modelops:local:ExternalDatabase"
DATABASES = frozenset({SQLITE, POSTGRES, EXTERNAL_DATABASE})
SCHEDULER = "modelops:local:Scheduler"
WORKER_GROUP = "modelops:local:WorkerGroup"
RUN = "modelops:local:Run"

_CACHE_SIZE = "MODELOPS_BUNDLE_CACHE_BYTES"
# Where the packages that bundles ask for come from, and with which logins.
_OF_PACKAGES = ("UV_*", "MODELOPS_GIT_CREDENTIALS", "MODELOPS_GIT_CREDENTIALS_FILE")
# What a person's environment says of registries that are there already: proxies, CAs, logins, and
# where the programs that know logins find theirs.
_OF_EXTERNAL_REGISTRIES = (
    "AZURE_AUTHORITY_HOST",
    "AZURE_CLIENT_ID",
    "AZURE_CONFIG_DIR",
    "AZURE_FEDERATED_TOKEN_FILE",
    "AZURE_TENANT_ID",
    "DBUS_SESSION_BUS_ADDRESS",
    "DOCKER_CONFIG",
    "MODELOPS_BUNDLE_INSECURE",
    "MODELOPS_BUNDLE_REGISTRY_CA_FILE",
    "MODELOPS_BUNDLE_REGISTRY_PASSWORD_FILE",
    "MODELOPS_BUNDLE_REGISTRY_USERNAME",
    "REGISTRY_AUTH_FILE",
    "XDG_CONFIG_HOME",
    "XDG_RUNTIME_DIR",
    *("CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_DIR", "SSL_CERT_FILE"),
    *("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY"),
    *("all_proxy", "https_proxy", "http_proxy", "no_proxy"),
)
# A cloud's spec can be tried on this machine: what only a cloud has is a folder here.
_CLOUD_KINDS = frozenset({"acr", "azure-blob", "s3", "gcs", "pvc"})


def compile_plan(
    plan: CompiledPlan, layout: LocalLayout, idle_seconds: float | None = None
) -> ProviderPlan:
    """Return the resources of every stack.

    Args:
        plan: what is to be there.
        layout: where it is on this machine.
        idle_seconds: how long a worker isn't needed before it's ended; None for the default.

    Raises:
        ProviderError: if the plan asks for what can't be had on this machine.
    """
    if plan.provider.options:
        keys = ", ".join(plan.provider.options)
        raise ProviderError(
            f"spec.provider has keys that the local provider doesn't know: {keys}.",
            hint="Leave them out; the local provider has no settings of its own.",
        )
    notes, plan = differences(plan), tried_out(plan)
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
                ResourcePlan(
                    SCHEDULER,
                    "dask-scheduler",
                    {
                        "authority": str(layout.authority),
                        "certificate": str(layout.dask_certificate),
                        **_process("dask-scheduler", layout),
                    },
                    gives=DASK_BINDINGS,
                ),
                *(_worker_group(group, plan, layout, idle_seconds) for group in plan.worker_groups),
            ),
        ),
    ]
    algorithms = {algorithm.name: algorithm for algorithm in plan.algorithms}
    for run_id, run in run_plans(plan):
        algorithm = algorithms[run.algorithm]
        name = run_part(run_id)
        properties = {
            "inherit": _inherited(plan.registry),
            "secrets": str(layout.users_secrets),
            "run": {
                "run_id": run_id,
                "env": plan.env,
                "workers": algorithm.workers,
                "plan": run.to_json(),
            },
            **_process(name, layout),
        }
        resource = ResourcePlan(
            RUN, name, properties, needs=run_needs(algorithm, _registry_bindings(plan.registry))
        )
        stacks.append(StackPlan(Component.ADAPTIVE, (resource,), run_id, algorithm.name))
    return ProviderPlan("local", plan.env, tuple(stacks), notes)


def _registry(registry: RegistryPlan, layout: LocalLayout) -> ResourcePlan:
    gives = _registry_bindings(registry)
    if registry.url is not None:
        return ResourcePlan(BUNDLE_REGISTRY, "bundles", {"url": registry.url}, gives=gives)
    if registry.kind == "distribution":
        properties = {
            "data": str(layout.registry_data),
            "secrets": str(layout.secrets),
            "auth": registry.auth,
            "tls": registry.tls,
            **_process("registry", layout),
        }
        return ResourcePlan(BUNDLE_REGISTRY, "registry", properties, gives=gives)
    _only("registry.class", registry.kind, "oci-layout", "distribution")
    return ResourcePlan(BUNDLE_REGISTRY, "bundles", {"path": str(layout.registry)}, gives=gives)


def _object_store(store: ObjectStorePlan, layout: LocalLayout) -> ResourcePlan:
    _only("objectStore.class", store.kind, "local-dir")
    path = layout.object_store(store.bucket or store.name)
    name, gives = f"objects-{store.name}", ("OBJECT_STORE_URL",)
    return ResourcePlan(OBJECT_STORE, name, {"path": str(path)}, gives=gives)


def _database(database: DatabasePlan, layout: LocalLayout) -> ResourcePlan:
    name = f"database-{database.name}"
    gives = (database_binding(database.name),)
    binding = {"binding": gives[0]}
    if database.url_from is not None:
        secret = {"secret": database.url_from, "path": str(layout.user_secret(database.url_from))}
        properties = {**binding, **secret, "engine": database.engine}
        return ResourcePlan(EXTERNAL_DATABASE, name, properties, gives=gives)
    properties = {**binding, "path": str(layout.database(database.name))}
    if database.engine == "postgres":
        properties |= {
            "password_file": str(layout.stack_secret(f"{name}-password")),
            "url_file": str(layout.stack_secret(f"{name}-url")),
            **_process(name, layout),
        }
        return ResourcePlan(POSTGRES, name, properties, gives=gives)
    _only(f"databases.{database.name}.engine", database.engine, "sqlite")
    return ResourcePlan(SQLITE, name, properties, gives=gives)


def _registry_bindings(registry: RegistryPlan) -> tuple[str, ...]:
    """Return the bindings by which the registry is reached."""
    names = ["MODELOPS_BUNDLE_REGISTRY"]
    if registry.auth is not None:
        names += ["MODELOPS_BUNDLE_REGISTRY_USERNAME", "MODELOPS_BUNDLE_REGISTRY_PASSWORD"]
    if registry.tls:
        names.append("MODELOPS_BUNDLE_REGISTRY_CA_FILE")
    return tuple(names)


def _inherited(registry: RegistryPlan) -> list[str]:
    external = [] if registry.url is None else _OF_EXTERNAL_REGISTRIES
    return [_CACHE_SIZE, *_OF_PACKAGES, *external]


def _worker_group(
    group: WorkerGroupPlan, plan: CompiledPlan, layout: LocalLayout, idle_seconds: float | None
) -> ResourcePlan:
    name = f"workers-{group.name}"
    properties: dict[str, Any] = {
        "inherit": _inherited(plan.registry),
        "group": group.name,
        "min": group.minimum,
        "max": group.maximum,
        "processes": group.processes,
        "threads": group.threads,
        "certificate": str(layout.dask_certificate),
        "secrets": str(layout.users_secrets),
        **_process(name, layout),
    }
    if idle_seconds is not None:
        properties["idle_seconds"] = idle_seconds
    needs = ("DASK_SCHEDULER", CERTIFICATE_BINDING, *_registry_bindings(plan.registry))
    return ResourcePlan(WORKER_GROUP, name, properties, needs=needs)


def _process(name: str, layout: LocalLayout) -> dict[str, str]:
    return {
        "log": str(layout.log(name)),
        "root": str(layout.processes),
        "home": str(layout.home),
    }


def _only(key: str, value: str | None, *allowed: str) -> None:
    if value is not None and value not in allowed and value not in _CLOUD_KINDS:
        raise ProviderError(
            f"spec.{key} is {value!r}, which the local provider doesn't run.",
            hint=f"Leave it out, or write {' or '.join(allowed)}.",
        )
