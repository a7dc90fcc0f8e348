"""The Dask WorkerPlugin: what a Dask worker needs to run chunks of simulations."""

from dask.typing import Key
from distributed import Worker, WorkerPlugin, get_worker

from modelops.worker.chunks import LateChunk, Trouble, encode_reply
from modelops.worker.model_worker import ModelWorker

PLUGIN = "modelops"
"""The name under which a worker knows the plugin."""


SHORT_BYTES = 64 * 2**10
"""The most of a reply that is told: other messages wait for it."""


def run_chunk(data: bytes, reply_to: str = "") -> bytes:
    """Be the one function that Dask runs: a Chunk goes in, its reply comes out, as frames.

    Only bytes cross, so that nothing that a model made is ever unpickled.

    Args:
        data: the chunk.
        reply_to: `topic/number`. A short reply is told there when the task is done, with the
            number: to fetch it would take a request to the worker and back.
    """
    worker = get_worker()
    plugin = worker.plugins.get(PLUGIN)
    if not isinstance(plugin, ModelWorkerPlugin):
        trouble = Trouble(
            f"The Dask worker {worker.name} at {worker.address} can't run bundles.",
            "Start workers with --preload modelops.worker.preload.",
        )
        return encode_reply(trouble)
    reply = plugin.run(data)
    if reply_to and len(reply) <= SHORT_BYTES:
        plugin.tell_when_done(worker.get_current_task(), reply_to, reply)
    return reply


class ModelWorkerPlugin(WorkerPlugin):
    """A ModelWorker with a slot for each of the Dask worker's threads."""

    name = PLUGIN

    def __init__(self) -> None:
        self._worker: ModelWorker | None = None
        self._dask_worker: Worker | None = None
        # By the task's key, until that is done: where to tell it, and which reply.
        self._short: dict[Key, tuple[str, bytes]] = {}

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

    def tell_when_done(self, key: Key, place: str, reply: bytes) -> None:
        """Have a reply told to `topic/number` when the task that made it is done; from it."""
        self._short[key] = place, reply

    def transition(self, key: Key, start: str, finish: str, **_: object) -> None:
        """Be told, in the worker's event loop, that a task's state has changed.

        What is told now goes in one message with the news that the task is done, and before it.
        """
        place, reply = self._short.pop(key, ("", b""))
        # A task that was cancelled while it ran is said to finish in memory, too.
        if place and finish == "memory" and start != "cancelled":
            self._tell(place, reply)

    def _notice(self, notice: str, late: LateChunk) -> None:
        """Tell the client of a chunk that it's late."""
        self._tell(notice, late.position, late.is_very_late, late.part)

    def _tell(self, place: str, *what: object) -> None:
        """Tell whoever listens to `topic/number`."""
        topic, _, number = place.rpartition("/")
        if self._dask_worker is not None:
            self._dask_worker.log_event(topic, (int(number), *what))
