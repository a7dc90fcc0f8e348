"""Ports on loopback: chosen free once, then kept; and who holds one."""

import secrets
import socket
from collections.abc import Iterable, Mapping
from typing import Any

import psutil

from modelops.core.errors import ProcessError

LOOPBACK = "127.0.0.1"
# Below what systems give to outgoing connections (Linux from 32768, others from 49152) and to node
# ports of Kubernetes (from 30000): a port is kept while its process is down, and would be taken.
_OURS = range(20_000, 30_000)
_TRIES = 200


class PortTakenError(ProcessError):
    """A port that a process was to listen at is held by another program."""

    def __init__(self, name: str, port: int) -> None:
        super().__init__(
            f"{name} can't be started: its port {port} is taken by {_holder(port)}.",
            hint="End that program; or take the stack down and up, which chooses another port.",
        )
        self.port = port


def choose_ports(names: list[str], kept: Mapping[str, int]) -> dict[str, int]:
    """Return a port for each name: the one that was kept, or one that is free now."""
    chosen = {name: kept[name] for name in names if name in kept}
    sockets = []
    try:
        for name in names:
            if name in chosen:
                continue
            # All stay open until the last is chosen, so that none is given twice.
            bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            sockets.append(bound)
            chosen[name] = _bind(bound)
    finally:
        for bound in sockets:
            bound.close()
    return chosen


def _bind(bound: socket.socket) -> int:
    """Bind a socket to a port that is free, of ours if there is one; return the port."""
    for _ in range(_TRIES):
        port = _OURS[secrets.randbelow(len(_OURS))]
        try:
            bound.bind((LOOPBACK, port))
        except OSError:
            continue
        return port
    bound.bind((LOOPBACK, 0))
    return int(bound.getsockname()[1])


def is_reachable(port: int, timeout: float = 1.0) -> bool:
    """Return whether something accepts connections on a port of loopback."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=timeout):
            return True
    except OSError:
        return False


def refuse_taken(name: str, ports: Mapping[str, int]) -> None:
    """Check that a process that doesn't run yet can have its ports.

    Raises:
        PortTakenError: if a program holds one.
    """
    for port in ports.values():
        if not _is_free(port):
            raise PortTakenError(name, port)


def listens(processes: Iterable[psutil.Process], port: int) -> bool:
    """Return whether one of the processes listens at the port.

    One that the system doesn't let us look into (it runs as another user) is taken to do so.
    """
    for process in processes:
        try:
            connections = process.net_connections(kind="tcp")
        except psutil.NoSuchProcess:
            continue
        except psutil.AccessDenied:
            return True
        if any(_is_listener(connection, port) for connection in connections):
            return True
    return False


def _is_free(port: int) -> bool:
    if is_reachable(port):
        return False
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # Else connections that ended a moment ago would count as a holder.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def _holder(port: int) -> str:
    """Return who listens at a port, as far as the system tells this user."""
    try:
        connections = psutil.net_connections(kind="tcp")
    except psutil.AccessDenied:
        connections = []
    for connection in connections:
        if connection.pid is not None and _is_listener(connection, port):
            try:
                return f"{psutil.Process(connection.pid).name()} (process {connection.pid})"
            except psutil.NoSuchProcess:
                break
    return "another program"


def _is_listener(connection: Any, port: int) -> bool:
    # A socket that isn't bound has an empty address.
    listening = connection.status == psutil.CONN_LISTEN and bool(connection.laddr)
    return listening and connection.laddr.port == port
