"""A forwarded port's end of a connection: what it does when pods come, refuse and go."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx
import pytest
from httpx_ws import WebSocketUpgradeError

from modelops.core.errors import ProviderError
from modelops.providers.kubernetes import forwarding
from modelops.providers.kubernetes.background_loop import BackgroundLoop
from modelops.providers.kubernetes.forwarding import Forward, Target
from modelops.providers.kubernetes.objects import Item

TARGET = Target("space", (("app", "echo"),), 7, "echo")
PORT_FRAME = b"\x07\x00"


class Echo:
    """The far end of a connection: a pod that answers with what it's sent, in frames."""

    def __init__(self) -> None:
        self._frames: asyncio.Queue[bytes] = asyncio.Queue()
        for channel in (0, 1):
            self._frames.put_nowait(bytes([channel]) + PORT_FRAME)

    async def send_bytes(self, data: bytes) -> None:
        assert data[0] == 0
        if data[1:] == b"refuse":
            await self._frames.put(b"\x01connection refused")
        else:
            await self._frames.put(data)

    async def receive_bytes(self) -> bytes:
        return await self._frames.get()


class Api:
    """An API server of one pod, which a test takes away."""

    def __init__(self) -> None:
        self.pods: list[Item] = [pod("echo-1")]
        self.opened: list[str] = []
        self.open = 0

    @asynccontextmanager
    async def open_websocket(self, *, url: str, **asked: Any) -> AsyncIterator[Echo]:
        assert asked["params"] == {"ports": "7"}
        self.opened.append(url)
        self.open += 1
        try:
            yield Echo()
        finally:
            self.open -= 1


def pod(name: str, *, ready: bool = True, ending: bool = False) -> Item:
    metadata: dict[str, Any] = {"name": name}
    if ending:
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    conditions = [{"type": "Ready", "status": str(ready)}]
    return {"metadata": metadata, "status": {"conditions": conditions}}


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Api:
    made = Api()

    async def pods(asked: Api, namespace: str, labels: dict[str, str]) -> list[Item]:
        assert (namespace, labels) == ("space", {"app": "echo"})
        return asked.pods

    monkeypatch.setattr(forwarding, "get_pods", pods)
    return made


Run = Callable[[Coroutine[Any, Any, Any]], Any]


@pytest.fixture
def run() -> Iterator[Run]:
    before = set(threading.enumerate())
    with BackgroundLoop("test") as loop:
        yield lambda work: loop.run(work, 20)
    assert set(threading.enumerate()) == before


async def made(api: Any) -> Forward:
    return Forward(api, TARGET)


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=20)


def echoed(connection: socket.socket, data: bytes) -> bytes:
    connection.sendall(data)
    return connection.recv(100)


def test_each_connection_goes_to_a_pod_that_is_ready_then(api: Api, run: Run) -> None:
    forward = run(made(api))
    port = run(forward.listen())

    with connect(port) as first:
        assert echoed(first, b"one") == b"one"
        api.pods = [pod("echo-1", ending=True), pod("echo-2", ready=False), pod("echo-3")]
        with connect(port) as second:
            assert echoed(second, b"two") == b"two"
        assert echoed(first, b"still") == b"still"
    run(forward.close())

    assert api.opened == ["pods/echo-1/portforward", "pods/echo-3/portforward"]
    assert api.open == 0


def test_what_the_pod_refuses_closes_the_connection(api: Api, run: Run) -> None:
    forward = run(made(api))
    port = run(forward.listen())

    with connect(port) as connection, suppress(ConnectionResetError):
        assert echoed(connection, b"refuse") == b""
    api.pods = []
    with connect(port) as connection, suppress(ConnectionResetError):
        assert connection.recv(100) == b""

    run(forward.close())


def test_nobody_listens_where_no_pod_is_ready(api: Api, run: Run) -> None:
    api.pods = [pod("echo-1", ready=False)]
    forward = run(made(api))

    with pytest.raises(ProviderError, match="none of its 1 pods is ready"):
        run(forward.listen())

    run(forward.close())


def test_the_end_closes_connections_however_new_they_are(api: Api, run: Run) -> None:
    for _ in range(20):
        forward = run(made(api))
        port = run(forward.listen())
        with connect(port) as held, connect(port) as new:
            assert echoed(held, b"here") == b"here"
            new.sendall(b"just now")
            run(forward.close())
            for each in (held, new):
                with suppress(ConnectionResetError):
                    while each.recv(100):
                        pass
        with pytest.raises(ConnectionRefusedError):
            connect(port)
    assert api.open == 0


def test_a_login_that_may_not_forward_is_told_so_once(
    api: Api, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    @asynccontextmanager
    async def refused(**_: Any) -> AsyncIterator[Echo]:
        raise WebSocketUpgradeError(httpx.Response(403))
        yield

    api.open_websocket = refused
    forward = run(made(api))
    port = run(forward.listen())
    for _ in range(2):
        with connect(port) as connection, suppress(ConnectionResetError):
            assert connection.recv(100) == b""
    run(forward.close())

    (told,) = caplog.messages
    assert "echo in the namespace space can't be reached" in told
    assert "pods/portforward" in told
