"""Lifelines: processes that end when the one that started them is gone, however it ended.

The starter keeps the writing end of a pipe that nothing is ever written to. The kernel closes it
with its process, SIGKILL included; whoever holds the reading end then ends too.

`--preload modelops.worker.lifeline` gives a Dask scheduler or worker the same.
"""

import fcntl
import os
import select
import signal
import threading
from typing import Any

LIFELINE_VARIABLE = "MODELOPS_LIFELINE_FD"
"""The environment variable that names the inherited file descriptor of the reading end."""


def end_with_starter() -> None:
    """End this process at once when the pipe that LIFELINE_VARIABLE names is closed.

    Without the variable nothing is watched. A thread waits; it doesn't keep the process alive.
    """
    name = os.environ.get(LIFELINE_VARIABLE)
    if name is None:
        return
    fd = int(name)
    # What this process starts has lifelines of its own.
    os.set_inheritable(fd, False)
    threading.Thread(target=_end_at_eof, args=(fd,), name="lifeline", daemon=True).start()


def end_group_with(fd: int) -> None:
    """SIGKILL this process's group when the other end of the pipe `fd` is closed.

    A thread waits for it. On Linux the kernel does so by itself (`F_SETSIG`, fcntl(2)), since a
    model's compiled code may hold the interpreter's lock for hours.
    """
    os.set_inheritable(fd, False)
    if hasattr(fcntl, "F_SETSIG"):
        fcntl.fcntl(fd, fcntl.F_SETOWN, -os.getpgrp())
        fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_ASYNC)
    # Started after the request, so that an end before it is seen as well.
    threading.Thread(target=_end_group_at_eof, args=(fd,), name="lifeline", daemon=True).start()


def dask_setup(_server: Any) -> None:
    """Be a preload of a Dask scheduler or worker."""
    end_with_starter()


def _end_at_eof(fd: int) -> None:
    _wait_for_eof(fd)
    os._exit(1)


def _end_group_at_eof(fd: int) -> None:
    _wait_for_eof(fd)
    os.killpg(0, signal.SIGKILL)


def _wait_for_eof(fd: int) -> None:
    # Not a read: the descriptor may be shared with processes that wait for the same end.
    poll = select.poll()
    poll.register(fd, 0)
    poll.poll()
