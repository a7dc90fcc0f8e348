"""What Dask's scheduler and workers must be started with; infrastructure sets it for them.

Dask reads its settings from environment variables when a process starts (`DASK_` and the path in
its configuration, with `__` between the parts).
"""

import sys
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

_LOOPBACK = "127.0.0.1"
_TLS = "DASK_DISTRIBUTED__COMM__TLS__"

_QUIET = {
    # An idle Dask samples itself; together that takes 5 to 10% of a small machine.
    "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "False",
    "DASK_DISTRIBUTED__ADMIN__SYSTEM_MONITOR__GIL__ENABLED": "False",
    "DASK_DISTRIBUTED__ADMIN__SYSTEM_MONITOR__INTERVAL": "5s",
    "DASK_DISTRIBUTED__ADMIN__TICK__INTERVAL": "500ms",
    # Of messages too, among which there are outcomes; those with topics are kept for each run.
    "DASK_DISTRIBUTED__ADMIN__LOW_LEVEL_LOG_LENGTH": "0",
    # Their HTTP servers know neither TLS nor users: they say that they are healthy, no more.
    "DASK_DISTRIBUTED__SCHEDULER__HTTP__ROUTES": '["distributed.http.health"]',
    "DASK_DISTRIBUTED__WORKER__HTTP__ROUTES": '["distributed.http.health"]',
}

SCHEDULER_ENV: Mapping[str, str] = MappingProxyType(
    {
        **_QUIET,
        # How many workers may die while they run a task before Dask calls it a failure. A worker
        # runs no model code, so its death says nothing about the task.
        "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "100",
    }
)
"""The environment of a scheduler."""

WORKER_ENV: Mapping[str, str] = MappingProxyType(_QUIET)
"""The environment of a worker."""

JSON_LOGS_ENV: Mapping[str, str] = MappingProxyType(
    {
        "MODELOPS_LOG_FORMAT": "json",
        # Dask sets its log up when it's imported, by `logging.config.dictConfig`.
        "DASK_DISTRIBUTED__LOGGING": repr(
            {
                "version": 1,
                "disable_existing_loggers": False,
                "formatters": {"json": {"()": "modelops.core.logs.JsonFormatter"}},
                "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
                "root": {"level": "WARNING", "handlers": ["stderr"]},
                "loggers": {
                    "distributed": {"level": "INFO"},
                    "distributed.client": {"level": "WARNING"},
                    "tornado": {"level": "CRITICAL"},
                    "tornado.application": {"level": "ERROR"},
                    "modelops": {"level": "INFO"},
                },
            }
        ),
    }
)
"""What has a scheduler or worker, and all else that uses Dask, log in JSON lines."""


def tls_env(folder: str, role: Literal["scheduler", "worker", "client"]) -> dict[str, str]:
    """Return the environment of a process that speaks TLS only, and only with peers of its CA.

    Args:
        folder: where `ca.crt`, `tls.crt` and `tls.key` are.
        role: what the process is in the cluster.
    """
    return {
        "DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION": "True",
        f"{_TLS}CA_FILE": f"{folder}/ca.crt",
        f"{_TLS}{role.upper()}__CERT": f"{folder}/tls.crt",
        f"{_TLS}{role.upper()}__KEY": f"{folder}/tls.key",
    }


def tls_files(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the files that a client of a cluster has, of what `tls_env` gave it.

    They are called as Dask's Security calls its arguments; none where the cluster speaks no TLS.
    """
    named = {
        "tls_ca_file": f"{_TLS}CA_FILE",
        "tls_client_cert": f"{_TLS}CLIENT__CERT",
        "tls_client_key": f"{_TLS}CLIENT__KEY",
    }
    return {name: environ[variable] for name, variable in named.items() if variable in environ}


def scheduler_command(
    port: int | str, *, host: str = _LOOPBACK, python: str = sys.executable
) -> list[str]:
    """Return the command that starts a scheduler.

    Args:
        port: where it listens.
        host: on which address.
        python: the interpreter.
    """
    return [
        *(python, "-m", "distributed.cli.dask_scheduler"),
        *("--host", host, "--port", str(port), "--no-show"),
        # Without a dashboard Dask still has an HTTP server, and on every address.
        *("--no-dashboard", "--dashboard-address", f"{_LOOPBACK}:0"),
        *("--preload", "modelops.worker.group_load"),
        *("--preload", "modelops.worker.prompt_messages"),
        *("--preload", "modelops.worker.lifeline"),
        *("--preload", "modelops.worker.scheduler_services"),
    ]


def supervisor_command(
    name: str,
    minimum: int,
    maximum: int,
    *,
    processes: int = 1,
    threads: int = 1,
    directory: str,
    ready_file: str,
    idle_seconds: float | None = None,
    host: str | None = None,
    worker_name: str | None = None,
    grace_seconds: float | None = None,
    python: str = sys.executable,
) -> list[str]:
    """Return the command that starts a group of workers; DASK_SCHEDULER says of which scheduler.

    Args:
        name: the group's name.
        minimum: the fewest replicas.
        maximum: the most replicas.
        processes: workers in each replica.
        threads: slots in each worker.
        directory: where Dask puts its files.
        ready_file: written once the fewest replicas are there.
        idle_seconds: how long a replica isn't needed before it's ended; None for the default.
        host: the address that workers listen on; None for loopback.
        worker_name: what workers' names begin with; None for the group's name.
        grace_seconds: how long workers that have to go may finish what they run; None for not.
        python: the interpreter.
    """
    command = [
        *(python, "-m", "modelops.worker.supervisor", "--name", name),
        *("--min", str(minimum), "--max", str(maximum)),
        *("--processes", str(processes), "--threads", str(threads)),
        *("--local-directory", directory, "--ready-file", ready_file),
    ]
    more = {
        "--idle-seconds": None if idle_seconds is None else f"{idle_seconds:g}",
        "--host": host,
        "--worker-name": worker_name,
        "--grace-seconds": None if grace_seconds is None else f"{grace_seconds:g}",
    }
    given = [(option, value) for option, value in more.items() if value is not None]
    return [*command, *(word for pair in given for word in pair)]
