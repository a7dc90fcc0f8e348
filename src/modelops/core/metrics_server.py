"""One plain HTTP port of a process for those who watch it: `/metrics`, `/healthz` and `/readyz`.

Nothing is served unless MODELOPS_METRICS_PORT is set. The port tells counts and whether the process
works; no parameter, address or secret.
"""

import asyncio
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from modelops.core.errors import UsageError

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

PORT_VARIABLE = "MODELOPS_METRICS_PORT"
"""The environment variable with the port; without it nothing is served."""
ADDRESS_VARIABLE = "MODELOPS_METRICS_ADDRESS"
"""The environment variable with the address to listen on; without it, loopback."""

_LOOP_SECONDS = 3.0
_PLAIN = "text/plain; charset=utf-8"

Question = Callable[[], str]
"""Answers with what is wrong, or nothing; called from the server's threads."""


def _nothing_wrong() -> str:
    return ""


@dataclass(frozen=True)
class Health:
    """What a process says of itself.

    Attributes:
        live: why it should be started anew.
        ready: why it doesn't serve anybody now.
    """

    live: Question = field(default=_nothing_wrong)
    ready: Question = field(default=_nothing_wrong)


def is_wanted(environ: Mapping[str, str] = os.environ) -> bool:
    """Return whether this process is to serve or to count anything."""
    return bool(environ.get(PORT_VARIABLE))


def new_registry() -> "CollectorRegistry":
    """Return a registry of metrics for one process.

    Raises:
        UsageError: if the package for metrics isn't installed.
    """
    try:
        from prometheus_client import (  # noqa: PLC0415
            CollectorRegistry,
            disable_created_metrics,
        )
    except ImportError as error:
        raise UsageError(
            f"{PORT_VARIABLE} is set, and prometheus-client isn't installed.",
            hint='Install it: pip install "modelops[metrics]"',
        ) from error
    # Beside each counter there would be a series with the time of its beginning.
    disable_created: Callable[[], None] = disable_created_metrics
    disable_created()
    return CollectorRegistry()


@contextmanager
def served(
    registry: "CollectorRegistry", health: Health, environ: Mapping[str, str] = os.environ
) -> Iterator[int]:
    """Serve a process's metrics and health while the block lasts; give the port.

    Args:
        registry: its metrics.
        health: whether it works.
        environ: where the port and the address are.

    Raises:
        UsageError: if the port can't be had.
    """
    server = start_server(registry, health, environ)
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


def start_server(
    registry: "CollectorRegistry", health: Health, environ: Mapping[str, str] = os.environ
) -> WSGIServer:
    """Serve a process's metrics and health until it ends; see `served`."""
    from prometheus_client import make_wsgi_app  # noqa: PLC0415

    host, port = environ.get(ADDRESS_VARIABLE) or "127.0.0.1", environ.get(PORT_VARIABLE, "")
    try:
        server = _Server((host, int(port)), _Quiet)
    except (OSError, ValueError, OverflowError) as error:
        raise UsageError(
            f"Metrics can't be served at {host}:{port}: {error}.",
            hint=f"Set {PORT_VARIABLE} to a free port, or not at all.",
        ) from error
    server.set_app(_application(make_wsgi_app(registry), health))
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    return server


def loop_answers(loop: asyncio.AbstractEventLoop) -> str:
    """Answer whether an event loop still turns, from another thread."""
    turned = threading.Event()
    try:
        loop.call_soon_threadsafe(turned.set)
    except RuntimeError:
        return "its event loop is closed"
    if not turned.wait(_LOOP_SECONDS):
        return f"its event loop hasn't turned for {_LOOP_SECONDS:g} s"
    return ""


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 — the base class's
        """Write nothing: somebody asks each second."""


def _application(metrics: Any, health: Health) -> Any:
    def answer(environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path == "/metrics":
            found: Iterable[bytes] = metrics(environ, start)
            return found
        questions = {"/healthz": health.live, "/readyz": health.ready}
        if path not in questions:
            status, text = HTTPStatus.NOT_FOUND, "There are /metrics, /healthz and /readyz."
        else:
            problem = questions[path]()
            status = HTTPStatus.SERVICE_UNAVAILABLE if problem else HTTPStatus.OK
            text = problem or "ok"
        start(f"{status.value} {status.phrase}", [("Content-Type", _PLAIN)])
        return [f"{text}\n".encode()]

    return answer
