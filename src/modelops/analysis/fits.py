"""How trials lie against the data: each target's points, observed and simulated."""

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from modelops.analysis.run_code import RunCode
from modelops.contracts import BundleRef, SimFailure, SimReturn, SimTask
from modelops.worker.outputs import from_ipc
from modelops.worker.target_points import FN_REF, write_request
from modelops.worker.warm_child import WarmChild

_SECONDS = 120.0
"""How long the targets may take for one trial."""


@dataclass(frozen=True)
class Fit:
    """A trial against the data.

    Attributes:
        points: target → its points, in the columns that `worker.target_points` says.
        failure: why there are none, or None.
    """

    points: Mapping[str, pa.Table]
    failure: SimFailure | None = None


def fits_of(code: RunCode, ref: BundleRef, trials: Sequence[Sequence[SimReturn]]) -> list[Fit]:
    """Return how trials lie against the data of a bundle's targets, whose code runs in a child.

    Args:
        code: the bundle's.
        ref: the bundle.
        trials: of each the outcomes of its simulations, none of which failed.
    """
    if not trials:
        return []
    with closing(WarmChild(code.folder, packages=code.packages)) as child:
        return [_fit(child, code, ref, returns) for returns in trials]


def _fit(child: WarmChild, code: RunCode, ref: BundleRef, returns: Sequence[SimReturn]) -> Fit:
    with tempfile.TemporaryDirectory(prefix="modelops-fit-") as folder:
        write_request(Path(folder), code.targets, [dict(item.tables) for item in returns])
        found = child.simulate(SimTask(ref, FN_REF, {"folder": folder}, 0), _SECONDS)
    if found.failure is not None:
        return Fit({}, found.failure)
    return Fit({name: from_ipc(data) for name, data in found.tables.items()})
