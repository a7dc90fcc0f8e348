"""Simulations on a Dask cluster whose workers run bundles (`modelops.worker.preload`)."""

import asyncio
import itertools
import uuid
from contextlib import suppress
from typing import Any

from distributed import CancelledError as DaskCancelledError
from distributed import Client, KilledWorker
from distributed.security import Security

from modelops.contracts import Execution, PublicKey
from modelops.core.errors import ServiceError
from modelops.services.chunked import AligningService, ServiceOptions
from modelops.services.dask_connection import SchedulerAwayError, connected_client
from modelops.services.transport import Late, WorkersLostError
from modelops.worker import prompt_messages
from modelops.worker.chunks import LateChunk
from modelops.worker.group_load import WANTED
from modelops.worker.groups import group_resource
from modelops.worker.plugin import run_chunk
from modelops.worker.run_watch import RunLimits

RECONNECT_SECONDS = 300.0
"""How long a scheduler that was there may be away; whoever keeps it starts it again by then."""

_AGAIN_SECONDS = 0.1
_INTERVALS = 5
_WARM_SECONDS = 5.0


class DaskTransport:
    """Brings each chunk to a worker as a Dask task.

    The scheduler and the workers are to be started with `dask_settings`. Dask runs a task whose
    worker is lost somewhere else.
    """

    def __init__(
        self,
        scheduler: str | Client,
        *,
        worker_group: str | None,
        security: Security | None,
        connect_timeout: float,
        reconnect_timeout: float,
    ) -> None:
        """See `DaskSimulationService`."""
        self._scheduler = scheduler
        self._group = worker_group
        self._security = security
        self._connect_timeout = connect_timeout
        self._reconnect_timeout = reconnect_timeout
        self._numbers = itertools.count()
        self._token = uuid.uuid4().hex[:8]
        self._late_topic = f"modelops-late-{self._token}"
        self._reply_topic = f"modelops-reply-{self._token}"
        self._stream: Any = None
        # Of each chunk that is awaited, once it was told.
        self._replies: dict[int, bytes | None] = {}
        self._fetching: set[asyncio.Task[bytes]] = set()

    async def open(self, late: Late) -> None:
        """Connect; see `Transport.open`."""
        self._client: Any = await connected_client(
            self._scheduler,
            security=self._security,
            connect_timeout=self._connect_timeout,
            reconnect_timeout=self._reconnect_timeout,
        )
        self._tell_late = late
        self._set_up()

    async def slots(self, wanted: int) -> int:
        """Return the threads of the group's workers; tell the group how many more are wanted."""
        if self._group is not None:
            with suppress(OSError, AttributeError):
                # A scheduler that isn't ours knows no such thing, and answers nothing.
                await getattr(self._client.scheduler, WANTED)(
                    group=self._group, client=self._token, slots=wanted
                )
        return sum((await self._addresses()).values())

    def notice(self, number: int) -> str:
        """Return the topic that workers write to, and the number."""
        return f"{self._late_topic}/{number}"

    async def run(self, data: bytes) -> bytes:
        """Run a chunk; see `Transport.run`."""
        resources = None if self._group is None else {group_resource(self._group): 1}
        while True:
            if self._client.status not in ("running", "connecting"):
                raise SchedulerAwayError(
                    "The Dask scheduler is gone.", hint="See whether it runs: mops status"
                )
            # Never the same key twice, so that Dask can't take one submission for another.
            number = next(self._numbers)
            future = self._client.submit(
                run_chunk,
                data,
                f"{self._reply_topic}/{number}",
                key=f"simulate-{self._token}-{number}",
                pure=False,
                resources=resources,
            )
            self._replies[number] = None
            fetching: asyncio.Task[bytes] | None = None
            try:
                error = await future.exception()
                if isinstance(error, KilledWorker):
                    raise WorkersLostError(str(error))
                if error is not None:
                    raise ServiceError(f"A Dask worker can't run tasks: {error!r}") from error
                if (reply := self._replies[number]) is not None:
                    return reply
                fetching = self._fetch(future)
                return await asyncio.shield(fetching)
            except (DaskCancelledError, OSError):
                # We cancel by dropping the future: this is a scheduler that was lost or restarted,
                # or a connection that broke while it gave us the result. Nothing tells when the
                # client knows of it too.
                await asyncio.sleep(_AGAIN_SECONDS)
            finally:
                del self._replies[number]
                if fetching is None:
                    future.release()

    async def warm(self, data: bytes) -> None:
        """Give a chunk to every worker of the group; see `Transport.warm`."""
        futures = [
            self._client.submit(
                run_chunk,
                data,
                key=f"warm-{self._token}-{next(self._numbers)}",
                pure=False,
                workers=[address],
            )
            for address in await self._addresses()
        ]
        try:
            # One that is busy for longer needn't be ready, nor seem busier than it is.
            async with asyncio.timeout(_WARM_SECONDS):
                await asyncio.gather(
                    *(each.exception() for each in futures), return_exceptions=True
                )
        except TimeoutError:
            return
        finally:
            for each in futures:
                each.release()

    async def close(self) -> None:
        """Disconnect."""
        for fetching in self._fetching:
            fetching.cancel()
        await asyncio.gather(*self._fetching, return_exceptions=True)
        await self._client.close()
        # What the client still has to say to itself it says in the loop, which ends after this: a
        # stream that waits for its interval would complain that nobody heard of its end.
        await asyncio.sleep(_INTERVALS * prompt_messages.SECONDS)

    async def _addresses(self) -> dict[str, int]:
        """Return the threads of each of the group's workers, by its address."""
        try:
            identity = await self._client.scheduler.identity()
        except (OSError, AttributeError):
            # It's away, or the client is about to connect to it anew.
            return {}
        self._set_up()
        resource = None if self._group is None else group_resource(self._group)
        return {
            address: worker["nthreads"]
            for address, worker in identity["workers"].items()
            if resource is None or resource in worker["resources"]
        }

    def _fetch(self, future: Any) -> asyncio.Task[bytes]:
        """Fetch a task's result, to the end even if nobody waits for it any more.

        What is asked for at one time the client fetches in one request, all of which ends when one
        who waits for a part of it is cancelled (`distributed.Client._gather`).
        """

        async def fetch() -> bytes:
            try:
                result: bytes = await future
            finally:
                future.release()
            return result

        fetching = asyncio.create_task(fetch())
        self._fetching.add(fetching)
        fetching.add_done_callback(self._fetching.discard)
        return fetching

    def _hear_late(self, event: tuple[float, tuple[Any, ...]]) -> None:
        number, *late = event[1]
        self._tell_late(number, LateChunk(*late))

    def _hear_reply(self, event: tuple[float, tuple[int, bytes]]) -> None:
        number, reply = event[1]
        if number in self._replies:
            self._replies[number] = reply

    def _set_up(self) -> None:
        """Send at once, hear replies and late chunks, on each connection that the client makes."""
        stream = self._client.scheduler_comm
        if stream is None or stream is self._stream:
            return
        self._stream = stream
        prompt_messages.send_promptly(stream)
        self._client.subscribe_topic(self._late_topic, self._hear_late)
        self._client.subscribe_topic(self._reply_topic, self._hear_reply)


class DaskSimulationService(AligningService):
    """A `SimulationService` on Dask."""

    def __init__(
        self,
        scheduler: str | Client,
        *,
        task_timeout: float | None = None,
        task_memory: int | None = None,
        task_files: int | None = None,
        worker_group: str | None = None,
        security: Security | None = None,
        public_key: PublicKey | None = None,
        execution: Execution | None = None,
        object_store_url: str = "",
        connect_timeout: float = 30.0,
        reconnect_timeout: float = RECONNECT_SECONDS,
    ) -> None:
        """Connect.

        Args:
            scheduler: its address, or a client of it, which stays the caller's to close.
            task_timeout: seconds that the call of a model may take.
            task_memory: bytes that its process may have in memory.
            task_files: how many files it may have open.
            worker_group: the group whose workers run the tasks; without one all workers do.
            security: which certificate to show; without it, that of Dask's own settings.
            public_key: what every bundle must be signed with; a worker fails the tasks of others.
            execution: how simulations are run; without it as by default.
            object_store_url: where results are kept and found again; empty for nowhere.
            connect_timeout: seconds to wait for the scheduler now.
            reconnect_timeout: seconds to wait for it when it went away.

        Raises:
            ServiceError: if the scheduler doesn't answer, or there's no certificate for it.
        """
        transport = DaskTransport(
            scheduler,
            worker_group=worker_group,
            security=security,
            connect_timeout=connect_timeout,
            reconnect_timeout=reconnect_timeout,
        )
        options = ServiceOptions(
            RunLimits(task_timeout, task_memory, task_files),
            execution or Execution(),
            public_key,
            object_store_url,
        )
        super().__init__(transport, options)
