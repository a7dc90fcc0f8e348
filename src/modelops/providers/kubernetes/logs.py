"""What the pods of a part wrote: one log of all of them, in the order of time."""

import asyncio
import heapq
import queue
from collections import deque
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any

from modelops.core.errors import NotThereError
from modelops.providers.base import ProviderPlan
from modelops.providers.kubernetes import cluster
from modelops.providers.kubernetes.background_loop import BackgroundLoop
from modelops.providers.kubernetes.objects import Item, get_pods, name_of
from modelops.providers.kubernetes.parts import part_of, pod_labels

if TYPE_CHECKING:
    from kr8s.asyncio import Api

# The kubelet writes a line's time before it, to the nanosecond; they sort as text.
_Line = tuple[str, str]

_SILENCE_SECONDS = 0.25
# How long it may take until a pod that was started meanwhile is followed too.
_PODS_SECONDS = 1.0
# How long a connection may say nothing before it's made anew: the machine may have slept.
_QUIET_SECONDS = 60.0
_LINES_WAITING = 10_000
_NO_LOG = frozenset({400, 404})
"""Status of a container that has no log (any more): not started yet, or gone."""


def read(plan: ProviderPlan, part: str, tail: int | None = None) -> Iterator[str]:
    """Yield the lines of a part's log, those of containers that ended before included.

    Raises:
        NotThereError: if the part has no pod.
        ProviderError: if the cluster can't be asked.
    """
    properties = cluster.properties_of(plan)
    with BackgroundLoop("logs") as loop, cluster.told(properties):
        log = _Log(properties, plan.env, part)
        lines = loop.run(log.so_far(tail))
        loop.run(log.close())
    yield from lines


def follow(plan: ProviderPlan, part: str, tail: int | None = None) -> Iterator[str]:
    """Yield the lines of a part's log as they come, without end; "" often while none does.

    Pods that come later are followed too.

    Raises:
        NotThereError: if the part has no pod.
        ProviderError: if the cluster can't be asked.
    """
    properties = cluster.properties_of(plan)
    arrived: queue.Queue[str | BaseException] = queue.Queue(_LINES_WAITING)
    with BackgroundLoop("logs") as loop:
        log = _Log(properties, plan.env, part)
        # Silence is told only when all that is there has been.
        with cluster.told(properties):
            lines = loop.run(log.so_far(tail))
        yield from lines
        loop.begin(log.go_on(arrived))
        while True:
            try:
                line = arrived.get(timeout=_SILENCE_SECONDS)
            except queue.Empty:
                yield ""
                continue
            if isinstance(line, BaseException):
                with cluster.told(properties):
                    raise line
            yield line


class _Log:
    """The log of a part: what its pods wrote, and what they and those after them go on to write."""

    def __init__(self, properties: Mapping[str, Any], env: str, part: str) -> None:
        self._properties, self._env, self._part = properties, env, part
        self._api: Api | None = None
        self._pods: list[Item] = []
        # When each pod wrote the last line that was told.
        self._last: dict[str, str] = {}
        self._followed: dict[str, asyncio.Task[None]] = {}

    async def so_far(self, tail: int | None) -> list[str]:
        """Return the lines that are there, or the last ones of them.

        Raises:
            NotThereError: if the part has no pod.
        """
        self._api = await cluster.async_api(self._properties)
        self._pods = await self._find_pods(self._api)
        if not self._pods:
            raise NotThereError(
                f"{self._part} has no log.", hint="See which there are: mops logs --list"
            )
        # One at least, for its time.
        asked = None if tail is None else max(tail, 1)
        kept = []
        for pod in self._pods:
            for previous in (*((True,) if _has_restarted(pod) else ()), False):
                lines = [line async for line in _lines(self._api, pod, asked, previous=previous)]
                kept.append(lines)
                if lines:
                    self._last[name_of(pod)] = lines[-1][0]
        return [text for _, text in deque(heapq.merge(*kept, key=lambda line: line[0]), tail)]

    async def close(self) -> None:
        """End the connections."""
        if self._api is not None:
            await cluster.close(self._api)

    async def go_on(self, arrived: "queue.Queue[str | BaseException]") -> None:
        """Follow all pods until cancelled; what goes wrong arrives as the last thing."""
        try:
            await self._follow_all(arrived)
        except* Exception as group:  # noqa: BLE001 — it is raised where somebody reads
            error: BaseException = group
            while isinstance(error, BaseExceptionGroup):
                error = error.exceptions[0]
            await _put(arrived, error)
        finally:
            await self.close()

    async def _follow_all(self, arrived: "queue.Queue[str | BaseException]") -> None:
        api = self._api or await cluster.async_api(self._properties)
        async with asyncio.TaskGroup() as group:
            while True:
                for pod in self._pods:
                    name = name_of(pod)
                    # Following ends with the container, and with the connection.
                    if name not in self._followed or self._followed[name].done():
                        work = self._follow_pod(api, pod, arrived)
                        self._followed[name] = group.create_task(work)
                await asyncio.sleep(_PODS_SECONDS)
                self._pods = await self._find_pods(api)

    async def _follow_pod(
        self, api: "Api", pod: Item, arrived: "queue.Queue[str | BaseException]"
    ) -> None:
        import httpx  # noqa: PLC0415 — it takes long
        from kr8s import APITimeoutError  # noqa: PLC0415

        name = name_of(pod)
        after = self._last.get(name, "")
        # A connection that broke, or on which nothing came for long, is made anew.
        with suppress(APITimeoutError, httpx.TransportError):
            async with aclosing(_lines(api, pod, since=after, follow=True)) as lines:
                async for when, text in lines:
                    # It begins with the second in which the last line came.
                    if when > after:
                        self._last[name] = when
                        await _put(arrived, text)

    async def _find_pods(self, api: "Api") -> list[Item]:
        found = await get_pods(api, str(self._properties["namespace"]), pod_labels(self._env))
        chosen = [pod for pod in found if part_of(pod) == self._part]
        return sorted(chosen, key=lambda pod: str(pod["metadata"]["creationTimestamp"]))


async def _put(arrived: "queue.Queue[str | BaseException]", line: str | BaseException) -> None:
    while True:
        try:
            arrived.put_nowait(line)
        except queue.Full:
            await asyncio.sleep(_SILENCE_SECONDS)
        else:
            return


async def _lines(
    api: "Api",
    pod: Item,
    tail: int | None = None,
    *,
    since: str = "",
    follow: bool = False,
    previous: bool = False,
) -> AsyncGenerator[_Line]:
    """Yield the times and lines of a pod's first container; nothing if it has no log."""
    from kr8s import ServerError  # noqa: PLC0415 — it takes long

    params = {
        "timestamps": "true",
        "container": str(pod["spec"]["containers"][0]["name"]),
        **({"tailLines": str(tail)} if tail is not None else {}),
        **({"sinceTime": since} if since else {}),
        **({"follow": "true"} if follow else {}),
        **({"previous": "true"} if previous else {}),
    }
    try:
        async with api.call_api(
            "GET",
            version="v1",
            url=f"pods/{name_of(pod)}/log",
            namespace=str(pod["metadata"]["namespace"]),
            params=params,
            stream=True,
            timeout=_QUIET_SECONDS if follow else cluster.SECONDS,
        ) as response:
            rest = b""
            async for block in response.aiter_bytes():
                *whole, rest = (rest + block).split(b"\n")
                for line in whole:
                    yield _split(line)
            if rest:
                yield _split(rest)
    except ServerError as error:
        if getattr(error.response, "status_code", None) not in _NO_LOG:
            raise


def _split(line: bytes) -> _Line:
    when, _, text = line.partition(b" ")
    return when.decode(errors="replace"), text.decode(errors="replace") + "\n"


def _has_restarted(pod: Item) -> bool:
    containers = pod.get("status", {}).get("containerStatuses") or ()
    return any(container.get("restartCount") for container in containers)
