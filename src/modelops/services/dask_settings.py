"""What Dask's scheduler and workers must be started with; infrastructure sets it for them.

Dask reads its settings from environment variables when a process starts (`DASK_` and the path in
its configuration, with `__` between the parts).
"""

from collections.abc import Mapping
from types import MappingProxyType

_QUIET = {
    # An idle Dask samples itself; together that takes 5 to 10% of a small machine.
    "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "False",
    "DASK_DISTRIBUTED__ADMIN__SYSTEM_MONITOR__GIL__ENABLED": "False",
    "DASK_DISTRIBUTED__ADMIN__SYSTEM_MONITOR__INTERVAL": "5s",
    "DASK_DISTRIBUTED__ADMIN__TICK__INTERVAL": "500ms",
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
