"""The worker's end of the program that children are copied from."""

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence

from modelops.core.errors import ProcessError
from modelops.worker.child_environment import child_environment
from modelops.worker.fork_server import MESSAGE_BYTES

_TRIES = 5


class ForkServer:
    """Starts children; used by all threads of a worker.

    Its process starts with it, and anew if it was killed, which ends none of its children.
    """

    def __init__(self) -> None:
        """Start the process; whether that was possible, the first child shows."""
        self._asking = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None
        with contextlib.suppress(ProcessError):
            self._start()

    def start(self, given: Sequence[int]) -> "ForkedProcess":
        """Start a child that gets these descriptors, in the order of `fork_server`.

        Raises:
            ProcessError: if it can't be started.
        """
        with self._asking:
            for _ in range(_TRIES):
                try:
                    return ForkedProcess(self, *self._ask_for_child(given))
                except OSError as error:
                    # It was killed since, and may be again while it starts.
                    ended = error
                    self._end()
                    self._start()
        raise ProcessError(f"A child can't be started: {ended}") from ended

    def reap(self, pid: int) -> int | None:
        """Wait for a child that was killed or has ended; return its exit status as Popen gives it.

        None if it wasn't the process that runs now that started it: the system has reaped it.
        """
        with self._asking:
            if self._channel is None:
                return None
            try:
                self._channel.send(json.dumps({"reap": pid}).encode())
                answer: dict[str, int | None] = json.loads(
                    self._channel.recv(MESSAGE_BYTES) or b"{}"
                )
            except OSError:
                return None
        return answer.get("status")

    def close(self) -> None:
        """End the process. May be called twice; its children live on."""
        with self._asking:
            self._end()

    def _start(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            number = str(theirs.fileno())
            try:
                self._process = subprocess.Popen(
                    [
                        sys.executable,
                        "-P",
                        "-m",
                        "modelops.worker.fork_server",
                        "--channel",
                        number,
                    ],
                    env=child_environment(os.environ),
                    stdin=subprocess.DEVNULL,
                    pass_fds=(theirs.fileno(),),
                    start_new_session=True,
                )
            except OSError as error:
                ours.close()
                raise ProcessError(f"The server of children can't be started: {error}") from error
        self._channel = ours

    def _ask_for_child(self, given: Sequence[int]) -> tuple[int, int]:
        if self._channel is None:
            raise BrokenPipeError("it doesn't run")
        socket.send_fds(self._channel, [b'{"start": true}'], list(given))
        data, descriptors, _, _ = socket.recv_fds(self._channel, MESSAGE_BYTES, 1)
        if not data:
            raise BrokenPipeError("it ended")
        return json.loads(data)["pid"], descriptors[0]

    def _end(self) -> None:
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


class ForkedProcess:
    """A child of the server's, as far as `subprocess.Popen` is one."""

    def __init__(self, server: ForkServer, pid: int, descriptor: int) -> None:
        self._server = server
        self._descriptor = descriptor
        self.pid = pid
        self.returncode: int | None = None

    def is_there(self) -> bool:
        """Return whether it's the process with that number, be it dead."""
        try:
            signal.pidfd_send_signal(self._descriptor, 0)
        except ProcessLookupError:
            return False
        return True

    def wait(self) -> int:
        """Wait until it has ended; return its exit status as Popen gives it."""
        if self.returncode is None:
            poll = select.poll()
            poll.register(self._descriptor, select.POLLIN)
            poll.poll()
            status = self._server.reap(self.pid)
            # Nobody knows how one ended whose server is gone; we end them so.
            self.returncode = -signal.SIGKILL if status is None else status
            os.close(self._descriptor)
        return self.returncode
