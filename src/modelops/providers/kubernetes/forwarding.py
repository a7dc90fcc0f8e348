"""Ports of this machine that lead to pods, through the API server.

A connection goes to a pod that is ready when it is opened, so a port outlives its pods.
"""

import asyncio
import logging
import random
import socket
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelops.core.errors import ProviderError
from modelops.providers.kubernetes.objects import Item, condition, get_pods, name_of

if TYPE_CHECKING:
    from httpx_ws import AsyncWebSocketSession
    from kr8s.asyncio import Api

_log = logging.getLogger("modelops.kubernetes")
_LOOPBACK = "127.0.0.1"
_BLOCK_BYTES = 2**16
# Of each frame the first byte is its channel: data, errors. The first frame of each has the port.
_DATA, _ERRORS = 0, 1
# A pod that has just come up may be ready a moment before its node knows.
_ATTEMPTS, _RETRY_SECONDS = 5, 0.2
# Who has said all may wait for the answer, or be gone: that can't be told.
_LINGER_SECONDS = 5.0


@dataclass(frozen=True)
class Target:
    """Where a port leads.

    Attributes:
        namespace: of the pods.
        labels: that the pods have.
        port: in the pods.
        name: what it is, for messages.
    """

    namespace: str
    labels: tuple[tuple[str, str], ...]
    port: int
    name: str


class Forward:
    """A port of loopback that leads to the ready pods of a target."""

    def __init__(self, api: "Api", target: Target) -> None:
        self._api, self._target = api, target
        # Not asyncio's server: a connection that it takes while it is closed stays open.
        self._listener = socket.create_server((_LOOPBACK, 0))
        self._listener.setblocking(False)
        self._open: dict[asyncio.Task[None], socket.socket] = {}
        self._is_refusal_told = False

    async def listen(self) -> int:
        """Begin to listen, and return the port.

        Raises:
            ProviderError: if no pod is ready.
        """
        await ready_pod(self._api, self._target)
        asyncio.get_running_loop().add_reader(self._listener, self._accept)
        port: int = self._listener.getsockname()[1]
        return port

    async def close(self) -> None:
        """Stop listening, and end all connections."""
        asyncio.get_running_loop().remove_reader(self._listener)
        self._listener.close()
        left = dict(self._open)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        # One that was cancelled before it began has closed nothing.
        for connection in left.values():
            connection.close()

    def _accept(self) -> None:
        with suppress(BlockingIOError, InterruptedError, ConnectionAbortedError):
            connection, _ = self._listener.accept()
            connection.setblocking(False)
            task = asyncio.get_running_loop().create_task(self._serve(connection))
            self._open[task] = connection
            task.add_done_callback(self._open.pop)

    async def _serve(self, connection: socket.socket) -> None:
        reader, writer = await asyncio.open_connection(sock=connection)
        try:
            await self._carry(reader, writer)
        except Exception as error:  # noqa: BLE001 — whoever connected sees that it is closed
            self._tell_refusal(error)
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    def _tell_refusal(self, error: Exception) -> None:
        """Say once that the login may not do this: who connected sees a closed connection."""
        import httpx_ws  # noqa: PLC0415 — it takes long

        if not isinstance(error, httpx_ws.WebSocketUpgradeError) or self._is_refusal_told:
            return
        if error.response.status_code in (401, 403):
            self._is_refusal_told = True
            _log.warning(
                "%s in the namespace %s can't be reached: the cluster refuses pods/portforward. "
                "Your login needs the right to get and create it.",
                self._target.name,
                self._target.namespace,
            )

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        import httpx_ws  # noqa: PLC0415 — it takes long

        for attempt in range(_ATTEMPTS):
            pod = await ready_pod(self._api, self._target)
            try:
                async with self._api.open_websocket(
                    version="v1",
                    url=f"pods/{pod}/portforward",
                    namespace=self._target.namespace,
                    params={"ports": str(self._target.port)},
                ) as websocket:
                    await _both_ways(websocket, reader, writer)
                    return
            except httpx_ws.WebSocketUpgradeError:
                if attempt + 1 == _ATTEMPTS:
                    raise
                await asyncio.sleep(_RETRY_SECONDS)


async def ready_pod(api: "Api", target: Target) -> str:
    """Return the name of a pod of the target that is ready.

    Raises:
        ProviderError: if none is.
    """
    found = await get_pods(api, target.namespace, dict(target.labels))
    ready = [name_of(pod) for pod in found if is_ready(pod)]
    if ready:
        return random.choice(ready)  # noqa: S311 — no secret
    there = f"none of its {len(found)} pods is ready" if found else "it has no pod"
    raise ProviderError(
        f"{target.name} in the namespace {target.namespace} can't be reached: {there}.",
        hint="See why: mops status. What is gone comes back with: mops up",
    )


def is_ready(pod: Item) -> bool:
    """Return whether a pod takes connections, and isn't about to end."""
    if pod["metadata"].get("deletionTimestamp"):
        return False
    return condition(pod, "Ready").get("status") == "True"


async def _both_ways(
    websocket: "AsyncWebSocketSession", reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Carry bytes in both directions until the pod ends the connection, or both sides are gone."""
    there = asyncio.create_task(_to_pod(websocket, reader))
    back = asyncio.create_task(_from_pod(websocket, writer))
    try:
        done, _ = await asyncio.wait({there, back}, return_when=asyncio.FIRST_COMPLETED)
        if there in done and not there.exception() and not writer.transport.is_closing():
            await asyncio.wait({back}, timeout=_LINGER_SECONDS)
    finally:
        for task in (there, back):
            task.cancel()
        await asyncio.gather(there, back, return_exceptions=True)


async def _to_pod(websocket: "AsyncWebSocketSession", reader: asyncio.StreamReader) -> None:
    while data := await reader.read(_BLOCK_BYTES):
        await websocket.send_bytes(bytes([_DATA]) + data)


async def _from_pod(websocket: "AsyncWebSocketSession", writer: asyncio.StreamWriter) -> None:
    begun: set[int] = set()
    while True:
        frame = await websocket.receive_bytes()
        if not frame:
            continue
        channel, data = frame[0], frame[1:]
        if channel not in begun:
            begun.add(channel)
        elif channel == _ERRORS:
            raise ConnectionError(data.decode(errors="replace"))
        elif channel == _DATA:
            writer.write(data)
            await writer.drain()
