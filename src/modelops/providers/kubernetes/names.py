"""What things are called in the cluster: objects, labels, ports, and paths inside containers.

The only place that makes these names; users' tools rely on several of them.
"""

from collections.abc import Sequence

from modelops.core.naming import StackNaming
from modelops.core.secret_files import file_variable
from modelops.providers.base import run_part

# Labels: the recommended ones of Kubernetes, and ours.
NAME_LABEL = "app.kubernetes.io/name"
INSTANCE_LABEL = "app.kubernetes.io/instance"
COMPONENT_LABEL = "app.kubernetes.io/component"
"""What a pod does, one of the roles below; network policies select by it."""
PART_OF_LABEL = "app.kubernetes.io/part-of"
MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
APP_LABEL = "app"
"""`dask-scheduler` or `dask-worker`, as tools of Dask's users expect it."""
ENV_LABEL = "modelops/env"
RUN_LABEL = "modelops/run-id"
GROUP_LABEL = "modelops/worker-group"
MODELOPS = "modelops"

# Values of COMPONENT_LABEL.
REGISTRY_ROLE = "registry"
OBJECTS_ROLE = "objects"
DATABASE_ROLE = "database"
SCHEDULER_ROLE = "scheduler"
WORKER_ROLE = "worker"
SCALER_ROLE = "scaler"
RUNNER_ROLE = "runner"

# Objects.
REGISTRY = "registry"
REGISTRY_DATA = "registry-data"
REGISTRY_CONFIG = "registry-config"
REGISTRY_TLS = "registry-tls"
REGISTRY_LOGIN = "registry-login"
"""Secret with the keys `username`, `password` and `htpasswd`."""
CACHE = "modelops-cache"
USER_SECRETS = "modelops-secrets"
SCHEDULER = "dask-scheduler"
SCHEDULER_APP = "dask-scheduler"
WORKERS = "dask-workers"
WORKER_APP = "dask-worker"
SCALER = "dask-scaler"
SCALER_GROUPS_KEY = "groups.json"
DASK_CA = "dask-ca"
DASK_TLS = "dask-tls"
CA_KEY, CERTIFICATE_KEY, PRIVATE_KEY_KEY = "ca.crt", "tls.crt", "tls.key"
"""Keys of the Secrets that hold certificates; files where they are mounted."""
PASSWORD_KEY, URL_KEY, USERNAME_KEY, HTPASSWD_KEY = "password", "url", "username", "htpasswd"
RUN_KEY = "run.json"
SERVICE_ACCOUNT = "modelops"
SCALER_ACCOUNT = "modelops-scaler"
QUOTA = "modelops"
METRICS = "modelops-metrics"

# Ports.
REGISTRY_PORT = 5000
DATABASE_PORT = 5432
OBJECTS_PORT = 8080
SCHEDULER_PORT = 8786
DASHBOARD_PORT = 8787
METRICS_PORT = 9100
HEALTH_PATH, READY_PATH, METRICS_PATH = "/healthz", "/readyz", "/metrics"

# Paths in containers.
ETC = "/etc/modelops"
DASK_MOUNT = f"{ETC}/dask"
USER_SECRETS_MOUNT = f"{ETC}/secrets"
RUN_MOUNT = f"{ETC}/run"
RUN_FILE = f"{RUN_MOUNT}/{RUN_KEY}"
SCALER_MOUNT = f"{ETC}/scaler"
SCALER_GROUPS_FILE = f"{SCALER_MOUNT}/{SCALER_GROUPS_KEY}"
BINDINGS_MOUNT = f"{ETC}/bindings"
HOME_MOUNT = "/var/lib/modelops"
"""MODELOPS_HOME of pods."""
OBJECTS_MOUNT = f"{HOME_MOUNT}/objects"
OBJECTS_URL = f"file://{OBJECTS_MOUNT}"
TMP_MOUNT = "/tmp"  # noqa: S108 — an empty volume of the pod's own
WORKER_DIRECTORY = f"{TMP_MOUNT}/dask"
READY_FILE = f"{TMP_MOUNT}/ready"

USER_ID = 1000
"""User and group of every process in our containers."""


def namespace(env: str, given: str | None = None) -> str:
    """Return the namespace of an environment: the option `namespace`, or the one made of its name.

    Args:
        env: the environment.
        given: the option.
    """
    # The user's name is in no namespace, so none is looked up.
    return given or StackNaming(env, MODELOPS).namespace()


def labels(env: str, name: str, component: str) -> dict[str, str]:
    """Return the labels of an object.

    Args:
        env: the environment.
        name: what the object is part of, as in `dask-scheduler`.
        component: one of the roles, or a stack's component for what belongs to no pod.
    """
    return {
        NAME_LABEL: name,
        INSTANCE_LABEL: env,
        COMPONENT_LABEL: component,
        PART_OF_LABEL: MODELOPS,
        MANAGED_BY_LABEL: MODELOPS,
        ENV_LABEL: env,
    }


def namespace_labels(env: str) -> dict[str, str]:
    """Return the labels of a namespace of ours: pods that may too much are refused in it."""
    modes = ("enforce", "warn", "audit")
    return {
        **labels(env, MODELOPS, "namespace"),
        **{f"pod-security.kubernetes.io/{mode}": "restricted" for mode in modes},
    }


def objects(store: str) -> str:
    """Return the name of an object store's claim, and of the Deployment that serves it."""
    return f"objects-{store}"


def database(name: str) -> str:
    """Return the name of a database's StatefulSet, Service and Secret."""
    return f"database-{name}"


def database_claim(name: str) -> str:
    """Return the name of a database's claim."""
    return f"{database(name)}-data"


def workers(group: str, groups: Sequence[str]) -> str:
    """Return the name of a group's Deployment.

    Args:
        group: the group.
        groups: all groups of the environment.
    """
    is_default = group == "default" or list(groups) == [group]
    return WORKERS if is_default else f"{WORKERS}-{group}"


def run(run_id: str) -> str:
    """Return the name of a run's Job and ConfigMap."""
    return run_part(run_id)


def host(service: str, in_namespace: str) -> str:
    """Return the host name of a Service as every pod of the cluster can resolve it."""
    return f"{service}.{in_namespace}.svc"


def binding_folder(variable: str) -> str:
    """Return where the Secret of a binding is mounted."""
    return f"{BINDINGS_MOUNT}/{variable}"


def binding_file(variable: str, key: str) -> tuple[str, str]:
    """Return (variable, path): what a container is told of a binding that is a secret."""
    return file_variable(variable), f"{binding_folder(variable)}/{key}"
