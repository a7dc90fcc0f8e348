"""Ports on loopback: chosen free once, then kept."""

import socket

LOOPBACK = "127.0.0.1"


def choose_ports(names: list[str], kept: dict[str, int]) -> dict[str, int]:
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
            bound.bind((LOOPBACK, 0))
            chosen[name] = bound.getsockname()[1]
    finally:
        for bound in sockets:
            bound.close()
    return chosen


def is_reachable(port: int, timeout: float = 1.0) -> bool:
    """Return whether something accepts connections on a port of loopback."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=timeout):
            return True
    except OSError:
        return False
