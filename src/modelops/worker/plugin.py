"""The Dask WorkerPlugin: it fetches bundles and runs tasks in warm children."""

import os
import threading
from collections.abc import Mapping
from pathlib import Path

from distributed import Worker, WorkerPlugin, get_worker

from modelops.bundles.cache import BundleCache
from modelops.bundles.stores import BundleStore, store_of
from modelops.contracts import BundleRef, FailureReason, SimFailure, SimReturn, SimStatus
from modelops.core.errors import BundleError, ModelOpsError, ServiceError
from modelops.core.settings import Home
from modelops.worker.child_pool import ChildPool
from modelops.worker.frames import decode, encode
from modelops.worker.messages import Answer, Simulate, Trouble, to_frame, to_request

PLUGIN = "modelops"
"""The name under which a worker knows the plugin."""
REGISTRY_VARIABLE = "MODELOPS_BUNDLE_REGISTRY"
"""The environment variable that names the registry of bundles whose reference has no host."""


def run_task(data: bytes) -> bytes:
    """Be the one function that Dask runs: a Simulate goes in, its answer comes out, as frames.

    Only bytes cross, so that nothing that a model made is ever unpickled.
    """
    worker = get_worker()
    plugin = worker.plugins.get(PLUGIN)
    if not isinstance(plugin, ModelWorkerPlugin):
        trouble = Trouble(
            f"The Dask worker {worker.name} at {worker.address} can't run bundles.",
            "Start workers with --preload modelops.worker.preload.",
        )
        return encode(to_frame(trouble))
    return plugin.run(data)


class ModelWorkerPlugin(WorkerPlugin):
    """What a worker needs to run bundles: their cache, and a warm child for each thread."""

    name = PLUGIN

    def __init__(self, *, cache_root: Path, registry: str | None) -> None:
        """Make the plugin of one worker.

        Args:
            cache_root: where unpacked bundles lie, shared with other workers of the machine.
            registry: the registry of bundles whose reference names no host.
        """
        self._cache = BundleCache(cache_root)
        self._registry = registry
        self._fetching = threading.Lock()
        self._folders: dict[str, Path] = {}
        self._pool: ChildPool | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "ModelWorkerPlugin":
        """Make the plugin that MODELOPS_HOME and MODELOPS_BUNDLE_REGISTRY describe."""
        registry = environment.get(REGISTRY_VARIABLE) or None
        return cls(cache_root=Home.current().bundle_cache, registry=registry)

    def setup(self, worker: Worker) -> None:
        """Be ready for tasks. Children start with the first of them."""
        self._pool = ChildPool(worker.state.nthreads)

    def teardown(self, worker: Worker) -> None:
        """End the children."""
        del worker
        if self._pool:
            self._pool.close()

    def run(self, data: bytes) -> bytes:
        """Run the task that a frame describes, in the calling thread; return its answer's frame.

        Raises:
            FrameError: if `data` isn't a Simulate.
        """
        request = to_request(decode(data))
        if not isinstance(request, Simulate):
            raise ServiceError(f"a worker runs simulations, not {type(request).__name__}")
        return encode(to_frame(self._run(request)))

    def _run(self, request: Simulate) -> Answer:
        task = request.task
        if self._pool is None:
            return Trouble("The worker isn't set up yet.", is_passing=True)
        try:
            folder = self._fetch(task.bundle_ref)
            with self._pool.child(task.bundle_ref.digest, folder) as child:
                return child.simulate(task, request.timeout)
        except BundleError as error:
            failure = SimFailure(FailureReason.BUNDLE, str(error))
            return SimReturn(task.task_id, SimStatus.FAILED, failure=failure)
        except ModelOpsError as error:
            return Trouble(error.message, error.hint, is_passing=self._pool.is_closed)

    def _fetch(self, ref: BundleRef) -> Path:
        with self._fetching:
            folder = self._folders.get(ref.digest)
            # The cache may have been emptied meanwhile.
            if folder is None or not folder.is_dir():
                folder = self._cache.fetch(ref, self._store(ref))
                self._folders[ref.digest] = folder
            return folder

    def _store(self, ref: BundleRef) -> BundleStore:
        if ref.host is None and self._registry is None:
            raise ServiceError(
                f"The worker doesn't know from which registry to fetch {ref}.",
                hint=f"Start workers with {REGISTRY_VARIABLE} set to the registry's address.",
            )
        return store_of(ref, self._registry or "")
