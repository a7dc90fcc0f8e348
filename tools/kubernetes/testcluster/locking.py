"""One at a time starts or stops a cluster."""

import contextlib
import errno
import socket
from collections.abc import Iterator

import stamina


class _HeldError(Exception):
    """Another process has the lock."""


@contextlib.contextmanager
def locked(name: str, timeout: float = 120) -> Iterator[None]:
    """Hold the lock of a cluster; it ends with its holder and leaves no file."""
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as holder:
        for attempt in stamina.retry_context(
            on=_HeldError, attempts=None, timeout=timeout, wait_max=0.2, wait_jitter=0
        ):
            with attempt:
                try:
                    holder.bind(f"\0modelops-test-cluster/{name}")
                except OSError as error:
                    if error.errno != errno.EADDRINUSE:
                        raise
                    raise _HeldError(
                        f"another process starts or stops the cluster {name}"
                    ) from None
        yield
