"""The cluster that is measured, started as the product starts it, and what runs on it."""

import multiprocessing
import os
import random
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import _execution_model
from distributed import Client
from distributed.security import Security

from integration.execution.conftest import Cluster
from integration.execution.test_dask_tls import issue
from modelops.contracts import BundleRef, Scalar, SimReturn, SimStatus, SimulationService
from modelops.services.dask_connection import client_security
from modelops.services.dask_settings import SCHEDULER_ENV, tls_env
from modelops.services.dask_simulation import DaskSimulationService

WORKERS = 2
GROUP = "cpu"
TASK_TIMEOUT = 60.0

Inputs = Sequence[tuple[dict[str, Scalar], int]]
"""Parameters and seed of each simulation."""


@dataclass(frozen=True)
class ExecutionCase:
    """A cluster of two workers with one thread each, speaking TLS, and a bundle in its registry.

    Attributes:
        cluster: its processes.
        certificates: the folder of a certificate of its CA.
        ref: the bundle whose model is `_execution_model`.
        folder: for whatever a measurement writes.
        scale: what part of the simulations to run; 1 for figures that count.
    """

    cluster: Cluster
    certificates: Path
    ref: BundleRef
    folder: Path
    scale: float = 1.0

    @property
    def security(self) -> Security:
        """What a client shows."""
        return client_security(tls_env(str(self.certificates), "client"))

    def count(self, whole: int) -> int:
        """Return how many simulations to run, two at least."""
        return max(2, round(whole * self.scale))

    def service(self, cluster: Cluster | None = None, **options: Any) -> DaskSimulationService:
        """Connect as a run does: with a time limit and for the workers of one group."""
        return DaskSimulationService(
            (cluster or self.cluster).address,
            task_timeout=TASK_TIMEOUT,
            worker_group=GROUP,
            security=self.security,
            **options,
        )

    def raw(self) -> Client:
        """Connect to the same cluster by Dask alone."""
        return Client(self.cluster.address, security=self.security, set_as_default=False)

    def push_new_bundle(self) -> BundleRef:
        """Push a bundle that nobody has seen before."""
        return self.cluster.push(write_bundle(Path(tempfile.mkdtemp(dir=self.folder))))

    @contextmanager
    def another_cluster(self, home: Path) -> Iterator[Cluster]:
        """Start one more cluster, whose workers keep bundles below `home`."""
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        with _running(folder, self.certificates, home) as cluster:
            yield cluster


@contextmanager
def execution_case(scale: float) -> Iterator[ExecutionCase]:
    """Give the case, with a MODELOPS_HOME of its own, and the workers warm."""
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        folder = Path(scratch)
        os.environ["MODELOPS_HOME"] = str(folder / "home")
        # Raw Dask names what it runs by module; the children of our workers aren't told.
        os.environ["PYTHONPATH"] = str(Path(__file__).parent)
        certificates = issue(folder, "bench")
        (folder / "cluster").mkdir()
        with _running(folder / "cluster", certificates, folder / "home") as cluster:
            ref = cluster.push(write_bundle(folder / "bundle"))
            yield ExecutionCase(cluster, certificates, ref, folder, scale)


@contextmanager
def pool() -> Iterator[ProcessPoolExecutor]:
    """Give a pool of as many processes as the cluster has, all started."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(WORKERS, mp_context=context) as executor:
        naps = [("sleeps", {"seconds": 0.2}, seed) for seed in range(4 * WORKERS)]
        list(executor.map(_execution_model.call, naps))
        yield executor


def write_bundle(folder: Path) -> Path:
    """Write a bundle whose digest no other has."""
    folder.mkdir(exist_ok=True)
    (folder / "manifest.json").write_text(
        '{"name": "bench", "version": "1.0.0", "entrypoint": "model:trivial"}\n'
    )
    shutil.copy(_execution_model.__file__, folder / "model.py")
    (folder / "nonce.txt").write_text(os.urandom(16).hex())
    return folder


def run(
    service: SimulationService, ref: BundleRef, function: str, inputs: Inputs
) -> list[SimReturn]:
    """Submit all, then gather."""
    fn_ref = f"model:{function}"
    futures = [service.submit(fn_ref, params, seed, bundle_ref=ref) for params, seed in inputs]
    return service.gather(futures)


def warm(service: SimulationService, ref: BundleRef) -> None:
    """Have every slot run something of the bundle."""
    naps: Inputs = [({"seconds": 0.1}, seed) for seed in range(4 * WORKERS)]
    for _ in range(2):
        check(run(service, ref, "sleeps", naps))


def trivial_inputs(number: int, salt: int) -> Inputs:
    """Return inputs with ten real parameters each, others for each salt."""
    chance = random.Random(salt)
    return [
        ({f"p{index}": chance.random() for index in range(10)}, chance.getrandbits(64))
        for _ in range(number)
    ]


def check(outcomes: Sequence[SimReturn]) -> None:
    """End the bench if a simulation failed: a figure of failures is none."""
    for outcome in outcomes:
        if outcome.status is not SimStatus.COMPLETED:
            raise SystemExit(f"a simulation failed: {outcome.failure}")


def as_calls(function: str, inputs: Inputs) -> list[tuple[str, Mapping[str, Scalar], int]]:
    """Return what `_execution_model.call` takes."""
    return [(function, params, seed) for params, seed in inputs]


@contextmanager
def _running(folder: Path, certificates: Path, home: Path) -> Iterator[Cluster]:
    with ExitStack() as stack:
        cluster = Cluster(folder, SCHEDULER_ENV, certificates)
        cluster.home = home
        stack.callback(cluster.stop)
        cluster.start_scheduler()
        cluster.start_supervisor(WORKERS)
        yield cluster
