"""Simulations on a Ray cluster; needs `pip install "modelops[ray]"`."""

import asyncio
import os
import threading
from collections.abc import Iterator, Mapping
from queue import SimpleQueue
from typing import Any

from modelops.bundles.access import RegistryAccess
from modelops.contracts import Execution, PublicKey
from modelops.core.errors import ServiceError
from modelops.services.chunked import AligningService, ServiceOptions
from modelops.services.transport import Late, WorkersLostError
from modelops.worker.chunks import LateChunk
from modelops.worker.model_worker import ModelWorker
from modelops.worker.run_watch import RunLimits

_SLOT_CPUS = 1


class _Slot:
    """The Ray actor that stands for a slot: a ModelWorker in a process of its own."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._worker = ModelWorker.from_environment(1, environment)

    def run(self, data: bytes) -> Iterator[bytes | tuple[str, LateChunk]]:
        """Yield what there is to say of a chunk that is late, and at last its reply."""
        said: SimpleQueue[bytes | tuple[str, LateChunk] | Exception] = SimpleQueue()

        def notice(name: str, late: LateChunk) -> None:
            said.put((name, late))

        def run() -> None:
            try:
                said.put(self._worker.run(data, notice))
            except Exception as error:  # noqa: BLE001 - it's raised below
                said.put(error)

        threading.Thread(target=run, daemon=True).start()
        while isinstance(item := said.get(), tuple):
            yield item
        if isinstance(item, Exception):
            raise item
        yield item


class RayTransport:
    """Gives chunks to actors, each of which is a slot; Ray starts one anew that died."""

    def __init__(self, address: str | None, slots: int, environment: Mapping[str, str]) -> None:
        """See `RaySimulationService`."""
        self._address = address
        self._slots = slots
        self._environment = environment
        self._owns_ray = False

    async def open(self, late: Late) -> None:
        """Connect and start the actors; see `Transport.open`."""
        self._late = late
        self._ray = _ray()
        if not self._ray.is_initialized():
            self._owns_ray = True
            await asyncio.to_thread(self._connect)
        actor = self._ray.remote(_Slot).options(
            num_cpus=_SLOT_CPUS, max_restarts=-1, runtime_env={"env_vars": dict(self._environment)}
        )
        actors = [actor.remote(self._environment) for _ in range(self._slots)]
        self._actors = actors
        self._free: asyncio.Queue[Any] = asyncio.Queue()
        for each in actors:
            self._free.put_nowait(each)

    async def slots(self, wanted: int) -> int:
        """Return the actors."""
        del wanted
        return self._slots

    def notice(self, number: int) -> str:
        """Return the number."""
        return str(number)

    async def run(self, data: bytes) -> bytes:
        """Run a chunk; see `Transport.run`."""
        actor = await self._free.get()
        try:
            async for reference in actor.run.options(num_returns="streaming").remote(data):
                item = await reference
                if isinstance(item, bytes):
                    return item
                notice, late = item
                self._late(int(notice), late)
        except self._ray.exceptions.RayActorError as error:
            raise WorkersLostError(f"a Ray actor died: {error}") from error
        except self._ray.exceptions.RayError as error:
            raise ServiceError(f"A Ray actor can't run tasks: {error}") from error
        finally:
            self._free.put_nowait(actor)
        raise ServiceError("A Ray actor gave no reply.")

    async def warm(self, data: bytes) -> None:
        """Do nothing: a slot's first simulation does the same."""
        del data

    async def close(self) -> None:
        """End the actors, and Ray if it was started for them."""
        for actor in self._actors:
            self._ray.kill(actor)
        if self._owns_ray:
            await asyncio.to_thread(self._ray.shutdown)

    def _connect(self) -> None:
        # Ray tells its makers of its use unless somebody says no.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        try:
            self._ray.init(
                address=self._address,
                num_cpus=None if self._address else self._slots * _SLOT_CPUS,
                include_dashboard=False,
                log_to_driver=False,
                configure_logging=False,
            )
        except (ConnectionError, OSError, RuntimeError) as error:
            where = self._address or "this machine"
            raise ServiceError(
                f"Ray at {where} can't be used: {error}", hint="See whether it runs: ray status"
            ) from error


class RaySimulationService(AligningService):
    """A `SimulationService` on Ray."""

    def __init__(
        self,
        address: str | None,
        slots: int,
        *,
        registry: RegistryAccess | None = None,
        environ: Mapping[str, str] | None = None,
        task_timeout: float | None = None,
        task_memory: int | None = None,
        task_files: int | None = None,
        public_key: PublicKey | None = None,
        execution: Execution | None = None,
        object_store_url: str = "",
    ) -> None:
        """Connect, and start an actor for each slot.

        Args:
            address: of the Ray cluster; None starts one on this machine, which ends with us.
            slots: how many simulations run at the same time, each on a CPU of Ray's.
            registry: the registry of bundles whose reference names no host.
            environ: further variables of the actors.
            task_timeout: seconds that the call of a model may take.
            task_memory: bytes that its process may have in memory.
            task_files: how many files it may have open.
            public_key: what every bundle must be signed with.
            execution: how simulations are run; without it as by default.
            object_store_url: where results are kept and found again; empty for nowhere.

        Raises:
            ServiceError: if Ray isn't installed, or can't be reached.
        """
        told = {**(registry.to_environ() if registry else {}), **(environ or {})}
        options = ServiceOptions(
            RunLimits(task_timeout, task_memory, task_files),
            execution or Execution(),
            public_key,
            object_store_url,
        )
        super().__init__(RayTransport(address, slots, told), options)


def _ray() -> Any:
    try:
        import ray  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ServiceError("Ray isn't installed.", hint='pip install "modelops[ray]"') from error
    return ray
