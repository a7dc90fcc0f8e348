"""The parent's end of a warm child: one process, its pipes and its log."""

import contextlib
import math
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from modelops.core.errors import ModelOpsError, ProcessError
from modelops.worker.frames import Frame, FrameError, read_frame

MAX_LOG_BYTES = 8_192
"""How much of what a model writes is kept: the last of it."""

# All that a child is told of the worker's environment, where credentials may be.
_PASSED_ON = frozenset(
    {
        *("PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TMPDIR", "TZ"),
        *("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "SSL_CERT_FILE"),
    }
)
_THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
_CHUNK = 2**16
_CHUNKS_AT_ONCE = 64
_EXIT_MILLISECONDS = 1_000


class ChildDiedError(ModelOpsError):
    """The child's process ended, or what it sent isn't a frame; the message says how."""


class DeadlineError(ModelOpsError):
    """The answer wasn't there in time."""


def child_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what of `environment` a child is given, and what is set for it.

    Hashing and the number of threads are fixed, so that a model's results don't depend on where
    it runs. PYTHONDONTWRITEBYTECODE isn't passed on: compiling at each start costs more.
    """
    passed = {
        name: value
        for name, value in environment.items()
        if name in _PASSED_ON or name.startswith("LC_")
    }
    return {**passed, "PYTHONHASHSEED": "0", **dict.fromkeys(_THREADS, "1")}


class ChildProcess:
    """One running child, used by one thread at a time; only `kill` may come from any.

    The child leads a process group of its own, so that what it starts ends with it. No other
    child inherits its pipes: Popen closes all but what is passed.
    """

    def __init__(self, bundle_dir: Path) -> None:
        self._lock = threading.Lock()
        self._tail = bytearray()
        self._unsent = memoryview(b"")
        self._log_is_open = True
        with contextlib.ExitStack() as theirs, contextlib.ExitStack() as ours:
            request_end, self._requests = _pipe(theirs, ours)
            lifeline_end, _ = _pipe(theirs, ours)
            self._responses, response_end = _pipe(ours, theirs)
            self._log, log_end = _pipe(ours, theirs)
            os.set_blocking(self._requests, False)
            os.set_blocking(self._log, False)
            command = [
                *(sys.executable, "-P", "-m", "modelops.worker.child"),
                *("--requests", str(request_end)),
                *("--responses", str(response_end)),
                *("--lifeline", str(lifeline_end)),
            ]
            try:
                self._process = subprocess.Popen(
                    command,
                    cwd=bundle_dir,
                    env=child_environment(os.environ),
                    stdin=subprocess.DEVNULL,
                    stdout=log_end,
                    stderr=log_end,
                    pass_fds=(request_end, response_end, lifeline_end),
                    start_new_session=True,
                )
            except OSError as error:
                raise ProcessError(f"A child can't be started in {bundle_dir}: {error}") from error
            self._exit = _exit_descriptor(self._process.pid, ours)
            self._ours = ours.pop_all()

    @property
    def pid(self) -> int:
        """The process's id, which is its group's too."""
        return self._process.pid

    @property
    def log(self) -> str:
        """The last MAX_LOG_BYTES of what was written to stdout and stderr in this exchange."""
        return self._tail.decode("utf-8", "backslashreplace")

    def exchange(self, request: bytes, deadline: float | None = None) -> Frame:
        """Send a request and return the answer.

        Args:
            request: an encoded frame.
            deadline: when to give up, in terms of `time.monotonic`.

        Raises:
            DeadlineError: if the answer isn't there by then; the child still runs.
            ChildDiedError: if it ended, or sent what isn't a frame; it's gone.
        """
        self._read_log()
        self._tail.clear()
        self._unsent = memoryview(request)
        self._send()
        try:
            frame = read_frame(lambda size: self._read(size, deadline))
        except FrameError as error:
            raise ChildDiedError(f"broke the protocol: {error.message} ({self._end()})") from error
        if frame is None:
            raise ChildDiedError(self._end())
        self._read_log()
        return frame

    def kill(self) -> int:
        """End the process and its group, if it lives; return its exit status as Popen gives it."""
        with self._lock:
            if self._process.returncode is None:
                # Before it's reaped: afterwards the group's number may be another's.
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self._process.pid, signal.SIGKILL)
            return self._process.wait()

    def close(self) -> None:
        """End the process and free the pipes."""
        self.kill()
        self._ours.close()

    def _read(self, size: int, deadline: float | None) -> bytes:
        while True:
            ready = self._wait(deadline)
            if self._responses in ready:
                return os.read(self._responses, min(size, _CHUNK))
            if self._log in ready:
                self._read_log()
            if self._requests in ready:
                self._send()
            elif self._exit in ready:
                return b""

    def _wait(self, deadline: float | None) -> set[int]:
        poll = select.poll()
        poll.register(self._responses, select.POLLIN)
        if self._log_is_open:
            poll.register(self._log, select.POLLIN)
        if self._unsent:
            poll.register(self._requests, select.POLLOUT)
        if self._exit is not None:
            # A process that the model forked may hold the pipes open when the child is gone.
            poll.register(self._exit, select.POLLIN)
        if deadline is None:
            return {fd for fd, _ in poll.poll()}
        seconds = deadline - time.monotonic()
        ready = {fd for fd, _ in poll.poll(math.ceil(seconds * 1000))} if seconds > 0 else set()
        if not ready:
            raise DeadlineError("the answer wasn't there in time")
        return ready

    def _send(self) -> None:
        try:
            while self._unsent:
                self._unsent = self._unsent[os.write(self._requests, self._unsent) :]
        except BlockingIOError:
            return
        except BrokenPipeError:
            # It died: reading the answer will show how.
            self._unsent = memoryview(b"")

    def _read_log(self) -> None:
        # Bounded, for a model that writes faster than we read; a pipe's content is less.
        for _ in range(_CHUNKS_AT_ONCE):
            if not self._log_is_open:
                return
            try:
                data = os.read(self._log, _CHUNK)
            except BlockingIOError:
                return
            self._log_is_open = bool(data)
            self._tail += data
            del self._tail[:-MAX_LOG_BYTES]

    def _end(self) -> str:
        """Reap the child, which closed its pipe or sent nonsense, and say how it ended."""
        if self._exit is not None:
            poll = select.poll()
            poll.register(self._exit, select.POLLIN)
            if not poll.poll(_EXIT_MILLISECONDS):
                self.kill()
                return "it closed its pipe"
        status = self.kill()
        self._read_log()
        return _describe(status)


def _pipe(reader: contextlib.ExitStack, writer: contextlib.ExitStack) -> tuple[int, int]:
    """Return both ends of a pipe, each to be closed by its stack."""
    read_end, write_end = os.pipe()
    reader.callback(os.close, read_end)
    writer.callback(os.close, write_end)
    return read_end, write_end


def _exit_descriptor(pid: int, stack: contextlib.ExitStack) -> int | None:
    """Return what becomes readable when the process ends; None where the system has no such."""
    if sys.platform != "linux":
        return None
    fd = os.pidfd_open(pid)
    stack.callback(os.close, fd)
    return fd


def _describe(status: int) -> str:
    if status >= 0:
        return f"it ended with exit status {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    out_of_memory = ", as the system does when memory runs out" * (-status == signal.SIGKILL)
    return f"it was killed by {name}{out_of_memory}"
