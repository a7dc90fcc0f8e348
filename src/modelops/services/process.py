"""Simulations in processes of this machine, without a cluster."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from modelops.bundles.access import RegistryAccess
from modelops.contracts import Execution, PublicKey
from modelops.core.settings import Home
from modelops.services.chunked import AligningService, ServiceOptions
from modelops.services.transport import Late, WorkersLostError
from modelops.worker.chunks import LateChunk
from modelops.worker.model_worker import ModelWorker
from modelops.worker.run_watch import RunLimits


class ProcessTransport:
    """Gives chunks to threads of this process, each of which has a warm child."""

    def __init__(self, slots: int, registry: RegistryAccess | None, cache_root: Path) -> None:
        """See `ProcessSimulationService`."""
        self._slots = slots
        self._registry = registry
        self._cache_root = cache_root

    async def open(self, late: Late) -> None:
        """Start processes ahead; see `Transport.open`."""
        self._late = late
        self._worker = ModelWorker(
            self._slots, cache_root=self._cache_root, registry=self._registry
        )
        self._threads = ThreadPoolExecutor(self._slots, "slot")

    async def slots(self, wanted: int) -> int:
        """Return the slots."""
        del wanted
        return self._slots

    def notice(self, number: int) -> str:
        """Return the number."""
        return str(number)

    async def run(self, data: bytes) -> bytes:
        """Run a chunk; see `Transport.run`."""
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._threads, self._worker.run, data, self._notice)
        except RuntimeError as error:
            # The threads end when the interpreter does.
            raise WorkersLostError(str(error)) from error

    async def warm(self, data: bytes) -> None:
        """Do nothing: a slot's first simulation does the same."""
        del data

    async def close(self) -> None:
        """End the children, and with them what is under way."""
        self._worker.close()
        self._threads.shutdown(cancel_futures=True)

    def _notice(self, notice: str, late: LateChunk) -> None:
        self._late(int(notice), late)


class ProcessSimulationService(AligningService):
    """A `SimulationService` on this machine: a warm child for each slot, and no network."""

    def __init__(
        self,
        slots: int,
        *,
        registry: RegistryAccess | None = None,
        cache_root: Path | None = None,
        task_timeout: float | None = None,
        task_memory: int | None = None,
        task_files: int | None = None,
        public_key: PublicKey | None = None,
        execution: Execution | None = None,
        object_store_url: str = "",
    ) -> None:
        """Start the children.

        Args:
            slots: how many simulations run at the same time.
            registry: the registry of bundles whose reference names no host.
            cache_root: where unpacked bundles lie; without it where MODELOPS_HOME says.
            task_timeout: seconds that the call of a model may take.
            task_memory: bytes that its process may have in memory.
            task_files: how many files it may have open.
            public_key: what every bundle must be signed with.
            execution: how simulations are run; without it as by default.
            object_store_url: where results are kept and found again; empty for nowhere.
        """
        transport = ProcessTransport(slots, registry, cache_root or Home.current().bundle_cache)
        options = ServiceOptions(
            RunLimits(task_timeout, task_memory, task_files),
            execution or Execution(),
            public_key,
            object_store_url,
        )
        super().__init__(transport, options)
