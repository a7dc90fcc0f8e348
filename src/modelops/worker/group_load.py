"""What a Dask scheduler tells of the load of a group of workers.

`--preload modelops.worker.group_load` makes a scheduler answer. Dask's own estimates
(`Scheduler.adaptive_target`) are of the whole cluster and know of no groups.
"""

import time
from collections.abc import Callable, Mapping
from itertools import chain
from types import TracebackType
from typing import Any, Literal, Self

from distributed import Scheduler
from distributed.core import rpc
from distributed.security import Security

from modelops.core.errors import ServiceError
from modelops.worker.groups import group_resource
from modelops.worker.retire_signal import RETIRE_OPERATION

WANTED = "modelops_wanted"
"""The operation by which a client tells of work that it hasn't submitted yet."""

_OPERATION = "modelops_group_load"
_WANTED_SECONDS = 5.0
"""How long what a client told counts."""
_CONNECT_SECONDS = 5.0


async def dask_setup(scheduler: Scheduler) -> None:
    """Make the scheduler answer."""
    wanted = WantedSlots()

    def answer(group: str) -> dict[str, Any]:
        return group_load(scheduler, group, wanted.of(group))

    scheduler.handlers[_OPERATION] = answer
    scheduler.handlers[WANTED] = wanted.tell


class WantedSlots:
    """How many more slots clients could use, each as it told last; forgotten after seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._told: dict[str, dict[str, tuple[float, int]]] = {}

    def tell(self, group: str, client: str, slots: int) -> bool:
        """Be told by a client; return True, to be told apart from what knows no such thing."""
        self._told.setdefault(group, {})[client] = (self._clock(), int(slots))
        return True

    def of(self, group: str) -> int:
        """Return how many are wanted of a group."""
        since = self._clock() - _WANTED_SECONDS
        told = self._told.get(group, {})
        for client in [name for name, (at, _) in told.items() if at < since]:
            del told[client]
        return sum(slots for _, slots in told.values())


def group_load(scheduler: Any, group: str, wanted: int = 0) -> dict[str, Any]:
    """Return `tasks`, how many run on the group's workers or wait for them, and `running`.

    What clients want beyond what they have submitted waits too.

    The latter is how many tasks each of the group's workers has, by name. Tasks that ask for no
    resource may run anywhere, so they wait for every group. Any, since Dask's scheduler has hardly
    any types.
    """
    resource = group_resource(group)
    workers = [worker for worker in scheduler.workers.values() if resource in worker.resources]
    waiting = sum(
        not task.resource_restrictions or resource in task.resource_restrictions
        for task in chain(scheduler.unrunnable, scheduler.queued)
    )
    running = {str(worker.name): len(worker.processing) for worker in workers}
    return {"tasks": waiting + wanted + sum(running.values()), "running": running}


class GroupLoads:
    """Asks a scheduler, as a worker of it; connects anew when the scheduler was away."""

    def __init__(self, scheduler: str, role: Literal["worker", "client"] = "worker") -> None:
        """Prepare to ask the scheduler at this address; nothing is sent yet.

        Args:
            scheduler: its address.
            role: as what we show our certificate (`dask_settings.tls_env`).
        """
        connection = Security().get_connection_args(role)
        self._scheduler = rpc(scheduler, timeout=_CONNECT_SECONDS, connection_args=connection)

    async def load(self, group: str) -> tuple[int, Mapping[str, int]]:
        """Return how many tasks the group has, and how many of them each of its workers has.

        Raises:
            OSError: if the scheduler can't be reached.
            ServiceError: if it was started without this preload.
        """
        answer = await getattr(self._scheduler, _OPERATION)(group=group)
        if answer is None:
            raise ServiceError(
                "The Dask scheduler doesn't tell the load of a group of workers.",
                hint=f"Start it with --preload {__name__}, or give the group a fixed size.",
            )
        return int(answer["tasks"]), answer["running"]

    async def retire(self, names: list[str]) -> set[str]:
        """Let workers take no more tasks and hand on what they hold; return who did.

        Raises:
            OSError: if the scheduler can't be reached.
        """
        retired = await self._scheduler.retire_workers(names=names, remove=False)
        # What they got in the last moment, and hadn't begun, would wait there for ever.
        message = {"op": RETIRE_OPERATION}
        await self._scheduler.broadcast(msg=message, workers=list(retired), on_error="ignore")
        return {str(worker["name"]) for worker in retired.values()}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._scheduler.close_rpc()
