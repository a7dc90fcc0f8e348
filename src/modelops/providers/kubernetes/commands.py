"""What containers of ours run, and the environment that all of them have. Pure."""

from collections.abc import Mapping
from types import MappingProxyType

from modelops.core.metrics_server import ADDRESS_VARIABLE, PORT_VARIABLE
from modelops.core.secret_files import STORED_VARIABLE
from modelops.providers.kubernetes import names
from modelops.services.dask_settings import (
    JSON_LOGS_ENV,
    SCHEDULER_ENV,
    WORKER_ENV,
    scheduler_command,
    supervisor_command,
    tls_env,
)

PYTHON = "python"
"""The Python of the image, not the one of who runs `mops`."""

EVERYWHERE: Mapping[str, str] = MappingProxyType(
    {
        "MODELOPS_HOME": names.HOME_MOUNT,
        **JSON_LOGS_ENV,
        PORT_VARIABLE: str(names.METRICS_PORT),
        # The kubelet and Prometheus come from outside of the pod.
        ADDRESS_VARIABLE: "0.0.0.0",  # noqa: S104
        # What looks for its home or for a place for files has no other that it may write.
        "HOME": names.TMP_MOUNT,
        "TMPDIR": names.TMP_MOUNT,
        # Simulations share a pod's cores by themselves; libraries that take all of them are in
        # each other's way.
        **dict.fromkeys(
            ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"),
            "1",
        ),
    }
)
"""The environment of every container that runs our code."""

RUNNER: Mapping[str, str] = MappingProxyType(
    {**EVERYWHERE, STORED_VARIABLE: names.USER_SECRETS_MOUNT}
)
"""The environment of runs, which install what bundles ask for, as workers do."""

SCHEDULER: Mapping[str, str] = MappingProxyType(
    {
        **EVERYWHERE,
        **SCHEDULER_ENV,
        **tls_env(names.DASK_MOUNT, "scheduler"),
        "MODELOPS_DASHBOARD_PORT": str(names.DASHBOARD_PORT),
        "DASK_DISTRIBUTED__SCHEDULER__HTTP__ROUTES": (
            '["distributed.http.health", "distributed.http.scheduler.json"]'
        ),
        "DASK_TEMPORARY_DIRECTORY": names.WORKER_DIRECTORY,
    }
)
"""The scheduler's environment."""

WORKER: Mapping[str, str] = MappingProxyType(
    {**RUNNER, **WORKER_ENV, **tls_env(names.DASK_MOUNT, "worker")}
)
"""The environment of workers."""


def scheduler() -> list[str]:
    """Return the scheduler's command."""
    every = "0.0.0.0"  # noqa: S104 — of its pod
    return scheduler_command(names.SCHEDULER_PORT, host=every, python=PYTHON)


def worker(group: str, processes: int, threads: int, grace_seconds: int) -> list[str]:
    """Return the command of a pod with workers; the kubelet fills its name and address in."""
    return supervisor_command(
        group,
        1,
        1,
        processes=processes,
        threads=threads,
        directory=names.WORKER_DIRECTORY,
        ready_file=names.READY_FILE,
        host="$(POD_IP)",
        worker_name="$(POD_NAME)",
        grace_seconds=grace_seconds,
        python=PYTHON,
    )


def scaler(namespace: str) -> list[str]:
    """Return the scaler's command."""
    return [
        *(PYTHON, "-m", "modelops.providers.kubernetes.scaler"),
        *("--namespace", namespace, "--groups", names.SCALER_GROUPS_FILE),
    ]


def runner() -> list[str]:
    """Return a run's command."""
    return [PYTHON, "-m", "modelops.runner.main", "--run", names.RUN_FILE]


def objects_server() -> list[str]:
    """Return the command that serves an object store's files to the pod itself alone."""
    return [
        *(PYTHON, "-m", "http.server", "--bind", "127.0.0.1"),
        *("--directory", names.OBJECTS_MOUNT, str(names.OBJECTS_PORT)),
    ]
