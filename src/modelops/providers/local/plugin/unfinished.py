"""What is starting at this moment, and is ended if the engine goes: it would never know of it.

Several engines may use the plugin at once, and each says when it ends (`Cancel`). So what is
starting is noted with the engine that asked for it, which is known by its connection.
"""

import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import psutil

from modelops.core.errors import ProcessError
from modelops.core.process_identity import ProcessIdentity
from modelops.providers.local.plugin.ending import end_process

_unfinished: dict[ProcessIdentity, str] = {}
_guard = threading.Lock()
_engine: ContextVar[str] = ContextVar("engine", default="")


@contextmanager
def asked_by(engine: str) -> Iterator[None]:
    """Note what is started in the block, in threads with its context too, as that engine's."""
    token = _engine.set(engine)
    try:
        yield
    finally:
        _engine.reset(token)


def spawn(
    name: str, command: Sequence[str], **options: Any
) -> tuple[subprocess.Popen[bytes], ProcessIdentity]:
    """Start a program in a session of its own; it counts as unfinished until `finish`.

    `options` are those of Popen.

    Raises:
        ProcessError: if there is no such program, or it can't be run.
    """
    with _guard:
        try:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, start_new_session=True, **options
            )
        except OSError as error:
            raise ProcessError(f"{name} can't be started: {error}") from error
        identity = ProcessIdentity.of(psutil.Process(process.pid))
        _unfinished[identity] = _engine.get()
    return process, identity


def finish(identity: ProcessIdentity) -> None:
    """Note that a process runs as it should, or has ended."""
    with _guard:
        _unfinished.pop(identity, None)


def end_unfinished_of_engine() -> None:
    """End what is starting for the engine that asks for it now; others' goes on."""
    _end(_engine.get())


def end_unfinished() -> None:
    """End all that is starting."""
    _end(None)


def _end(engine: str | None) -> None:
    with _guard:
        left = [item for item, asked in _unfinished.items() if engine in (None, asked)]
    for identity in left:
        end_process(identity)
