"""Where a Dask cluster is; importing this imports no Dask."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class ClusterPlace:
    """Where a cluster's scheduler is, and what its clients are told.

    Attributes:
        address: the scheduler's.
        environ: as `dask_settings.tls_env` gives it; what isn't there is as Dask's own settings
            say.
    """

    address: str
    environ: Mapping[str, str] = field(default_factory=dict)
