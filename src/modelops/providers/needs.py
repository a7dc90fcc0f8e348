"""What a run and the workers read of what earlier parts hand on, whichever the provider. Pure."""

from collections.abc import Iterable

from modelops.providers.base import database_binding
from modelops.services.dask_settings import tls_env
from modelops.spec.plan import AlgorithmPlan

CERTIFICATE_BINDING = "MODELOPS_DASK_CERTIFICATE"
"""The fingerprint of the cluster's certificate: whoever reads it starts again with a new one."""
DASK_BINDINGS = ("DASK_SCHEDULER", CERTIFICATE_BINDING, *tls_env("", "client"))
"""What a client of the Dask cluster needs to know."""


def run_needs(algorithm: AlgorithmPlan, registry: Iterable[str]) -> tuple[str, ...]:
    """Return the bindings that a run reads.

    Args:
        algorithm: the run's.
        registry: the bindings by which the bundle registry is reached.
    """
    database = database_binding(algorithm.database)
    return (*DASK_BINDINGS, database, "OBJECT_STORE_URL", *registry)
