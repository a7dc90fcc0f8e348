"""The Dask WorkerPlugin: what a Dask worker needs to run chunks of simulations."""

from distributed import Worker, WorkerPlugin, get_worker

from modelops.worker.chunks import LateChunk, Trouble, encode_reply
from modelops.worker.model_worker import ModelWorker

PLUGIN = "modelops"
"""The name under which a worker knows the plugin."""


def run_chunk(data: bytes) -> bytes:
    """Be the one function that Dask runs: a Chunk goes in, its reply comes out, as frames.

    Only bytes cross, so that nothing that a model made is ever unpickled.
    """
    worker = get_worker()
    plugin = worker.plugins.get(PLUGIN)
    if not isinstance(plugin, ModelWorkerPlugin):
        trouble = Trouble(
            f"The Dask worker {worker.name} at {worker.address} can't run bundles.",
            "Start workers with --preload modelops.worker.preload.",
        )
        return encode_reply(trouble)
    return plugin.run(data)


class ModelWorkerPlugin(WorkerPlugin):
    """A ModelWorker with a slot for each of the Dask worker's threads."""

    name = PLUGIN

    def __init__(self) -> None:
        self._worker: ModelWorker | None = None
        self._dask_worker: Worker | None = None

    def setup(self, worker: Worker) -> None:
        """Be ready for chunks."""
        self._dask_worker = worker
        self._worker = ModelWorker.from_environment(worker.state.nthreads)

    def teardown(self, worker: Worker) -> None:
        """End the children."""
        del worker
        if self._worker:
            self._worker.close()

    def run(self, data: bytes) -> bytes:
        """Run the chunk that a frame describes, in the calling thread; return its reply's frame.

        Raises:
            FrameError: if `data` isn't a chunk.
        """
        if self._worker is None:
            return encode_reply(Trouble("The worker isn't set up yet.", is_passing=True))
        return self._worker.run(data, self._notice)

    def _notice(self, notice: str, late: LateChunk) -> None:
        """Tell the client of a chunk that it's late."""
        topic, _, number = notice.rpartition("/")
        if self._dask_worker is not None:
            self._dask_worker.log_event(
                topic, (int(number), late.position, late.is_very_late, late.part)
            )
