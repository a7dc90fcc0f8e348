"""How a worker tells the supervisor that started it that it has registered with its scheduler."""

import os

READY_VARIABLE = "MODELOPS_READY_FD"
"""The environment variable that names the inherited writing end of a pipe."""


def announce(name: str) -> None:
    """Write the worker's name and a newline to the pipe that READY_VARIABLE names, if it's set.

    Lines of all workers go into one pipe; POSIX keeps writes below PIPE_BUF in one piece.
    """
    fd = os.environ.get(READY_VARIABLE)
    if fd is not None:
        os.write(int(fd), f"{name}\n".encode())
