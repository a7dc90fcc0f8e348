"""The parent's end of a child: one process, its channel and what it shares with us."""

import contextlib
import math
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil

from modelops.core.errors import ModelOpsError, ProcessError
from modelops.worker.child_environment import child_environment
from modelops.worker.endings import describe_end
from modelops.worker.fork_server_process import ForkedProcess, ForkServer
from modelops.worker.frames import Frame, FrameError, encode, read_frame
from modelops.worker.memory_cgroup import MemoryCgroup
from modelops.worker.message_frames import to_frame
from modelops.worker.messages import Open
from modelops.worker.model_log import ModelLog
from modelops.worker.progress import At, Progress
from modelops.worker.scratch import Scratch

_CHUNK = 2**20
_EXIT_MILLISECONDS = 1_000


class ChildDiedError(ModelOpsError):
    """The child's process ended, or what it sent isn't a frame; the message says how."""


Watch = Callable[[], float | None]
"""Called while an answer is waited for; returns how many seconds later to call it again at most.

What it raises ends the waiting; the child still runs."""


class ChildProcess:
    """One running child, used by one thread at a time; only `kill` may come from any.

    It's started before it's known whose code it runs. It leads a process group of its own, so that
    what it starts ends with it. No other child inherits its descriptors: Popen closes all but what
    is passed.
    """

    def __init__(
        self,
        environment: Mapping[str, str] | None = None,
        *,
        interpreter: str = sys.executable,
        server: ForkServer | None = None,
    ) -> None:
        """Start the process.

        Args:
            environment: all of its environment; none means `child_environment` of ours.
            interpreter: the Python that runs it.
            server: makes it a copy of the server's, whatever the other two say; it takes a
                hundredth of the time.

        Raises:
            ProcessError: if it can't be started.
        """
        self._killing = threading.Lock()
        self._unsent = memoryview(b"")
        self._cgroup: MemoryCgroup | None = None
        self._was_limited = False
        with contextlib.ExitStack() as theirs, contextlib.ExitStack() as ours:
            try:
                self._channel, channel_end = socket.socketpair()
                ours.enter_context(self._channel)
                theirs.enter_context(channel_end)
                lifeline_end, lifeline = os.pipe()
                theirs.callback(os.close, lifeline_end)
                ours.callback(os.close, lifeline)
                log, progress = ModelLog.new_file(), Progress.new_file()
                ours.callback(os.close, log)
                theirs.callback(os.close, progress)
                self._log, self._progress = ModelLog(log), Progress(progress)
                ours.callback(self._progress.close)
                given = (channel_end.fileno(), lifeline_end, log, progress)
                self._process: subprocess.Popen[bytes] | ForkedProcess = (
                    _started(given, environment, interpreter)
                    if server is None
                    else server.start(given)
                )
            except OSError as error:
                raise ProcessError(f"A child can't be started: {error}") from error
            self._channel.setblocking(False)
            self._exit = _exit_descriptor(self._process.pid, ours)
            self._ours = ours.pop_all()

    @property
    def pid(self) -> int:
        """The process's id, which is its group's too."""
        return self._process.pid

    @property
    def at(self) -> At:
        """Which simulation it's at."""
        return self._progress.read()

    @property
    def log(self) -> str:
        """The last of what was written to stdout and stderr in this exchange."""
        return self._log.tail()

    @property
    def written(self) -> int:
        """How many bytes were written to stdout and stderr since the last simulation ended."""
        return self._log.size

    @property
    def cgroup(self) -> str:
        """The folder of its cgroup; empty if it has none of its own."""
        return self._cgroup.folder if self._cgroup else ""

    @property
    def kills(self) -> int:
        """How many processes of its cgroup were ended for the memory that they took."""
        return self._cgroup.kills if self._cgroup else 0

    def limit_memory(self, size: int | None) -> None:
        """Have the system keep it and all that it starts below a limit, where that is allowed.

        Args:
            size: bytes that they may take beyond what it had when it was first limited, or None.
        """
        if size is not None and not self._was_limited and _is_unreaped(self._process):
            self._was_limited = True
            self._cgroup = MemoryCgroup.around(self.pid)
            if self._cgroup is not None:
                self._ours.callback(self._cgroup.close)
        if self._cgroup is not None:
            # Where it's refused, as if they have more by now, looking has to do.
            with contextlib.suppress(OSError):
                self._cgroup.limit(size)

    def memory(self, *, with_children: bool) -> int:
        """Return the bytes that it, and maybe the processes below it, have in memory."""
        try:
            process = psutil.Process(self.pid)
            below = process.children(recursive=True) if with_children else []
        except psutil.NoSuchProcess:
            return 0
        # What a copy of the child shares with it is counted once.
        return _memory_of(process) + sum(_own_memory_of(each) for each in below)

    def open(
        self,
        bundle_dir: Path,
        *,
        directory: Path | None = None,
        held: Sequence[int] = (),
        paths: Sequence[str] = (),
    ) -> None:
        """Tell it whose code it runs; once, before anything else.

        It works in a directory of its own with links to the bundle's files, which goes with it,
        unless it's told where to work.

        Args:
            bundle_dir: the unpacked bundle.
            directory: where it works, if not in a directory of its own.
            held: descriptors that it gets, so that it holds what they hold.
            paths: what is on the path of modules behind the bundle.

        Raises:
            ProcessError: if there's no place for its directory.
            ChildDiedError: if it has ended.
        """
        try:
            if directory is None:
                scratch = self._ours.enter_context(Scratch(bundle_dir))
                directory = scratch.folder
                held = (*held, scratch.descriptor)
        except OSError as error:
            raise ProcessError(f"A child has no place to work in: {error}") from error
        request = Open(os.path.realpath(bundle_dir), str(directory), tuple(paths))
        data = encode(to_frame(request))
        try:
            # It's small: what was just made has room for all of it.
            sent = socket.send_fds(self._channel, [data], list(held))
        except OSError:
            raise ChildDiedError(self._end()) from None
        if sent != len(data):
            raise ChildDiedError(f"it didn't take its first message ({self._end()})")

    def exchange(self, request: bytes, watch: Watch = lambda: None) -> Frame:
        """Send a request and return the answer.

        Args:
            request: an encoded frame.
            watch: called at the beginning and from time to time.

        Raises:
            ChildDiedError: if it ended, or sent what isn't a frame; it's gone.
        """
        self._progress.clear(self.kills)
        self._unsent = memoryview(request)
        self._send()
        return self.receive(watch)

    def receive(self, watch: Watch = lambda: None) -> Frame:
        """Return a further answer to the request; see `exchange`."""
        try:
            frame = read_frame(lambda size: self._read(size, watch))
        except FrameError as error:
            raise ChildDiedError(
                f"it broke the protocol: {error.message} ({self._end()})"
            ) from error
        if frame is None:
            raise ChildDiedError(self._end())
        return frame

    def kill(self) -> int:
        """End the process and its group, if it lives; return its exit status as Popen gives it."""
        with self._killing:
            # Before it's reaped: afterwards the group's number may be another's.
            if self._process.returncode is None and _is_unreaped(self._process):
                try:
                    os.killpg(self._process.pid, signal.SIGKILL)
                except ProcessLookupError:
                    # A copy that was made just now isn't at the point where it makes its group.
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(self._process.pid, signal.SIGKILL)
            return self._process.wait()

    def close(self) -> None:
        """End the process and free what belongs to it."""
        self.kill()
        self._ours.close()

    def _read(self, size: int, watch: Watch) -> bytes:
        while True:
            ready = self._wait(watch)
            if self._unsent and ready.get(self._channel.fileno(), 0) & select.POLLOUT:
                self._send()
            try:
                return self._channel.recv(min(size, _CHUNK))
            except BlockingIOError:
                if self._exit in ready:
                    return b""
            except ConnectionResetError:
                return b""

    def _wait(self, watch: Watch) -> dict[int, int]:
        poll = select.poll()
        poll.register(self._channel, select.POLLIN | (select.POLLOUT if self._unsent else 0))
        if self._exit is not None:
            # A process that the model forked may hold the channel open when the child is gone.
            poll.register(self._exit, select.POLLIN)
        while True:
            seconds = watch()
            ready = poll.poll(None if seconds is None else math.ceil(seconds * 1000))
            if ready:
                return dict(ready)

    def _send(self) -> None:
        try:
            while self._unsent:
                self._unsent = self._unsent[self._channel.send(self._unsent) :]
        except BlockingIOError:
            return
        except (BrokenPipeError, ConnectionResetError):
            # It died: reading the answer will show how.
            self._unsent = memoryview(b"")

    def _end(self) -> str:
        """Reap the child, which closed its channel or sent nonsense, and say how it ended."""
        if self._exit is not None:
            poll = select.poll()
            poll.register(self._exit, select.POLLIN)
            if not poll.poll(_EXIT_MILLISECONDS):
                self.kill()
                return "it closed its channel"
        return describe_end(self.kill())


def _started(
    given: Sequence[int], environment: Mapping[str, str] | None, interpreter: str
) -> subprocess.Popen[bytes]:
    names = ("--channel", "--lifeline", "--log", "--progress")
    options = [text for pair in zip(names, map(str, given), strict=True) for text in pair]
    log = given[names.index("--log")]
    return subprocess.Popen(
        [interpreter, "-P", "-m", "modelops.worker.child", *options],
        env=child_environment(os.environ) if environment is None else environment,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        pass_fds=tuple(given),
        start_new_session=True,
    )


def _memory_of(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


def _own_memory_of(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().uss)
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return 0


def _is_unreaped(process: subprocess.Popen[bytes] | ForkedProcess) -> bool:
    # Nobody but Popen itself reaps what it started.
    return isinstance(process, subprocess.Popen) or process.is_there()


def _exit_descriptor(pid: int, stack: contextlib.ExitStack) -> int | None:
    """Return what becomes readable when the process ends; None where the system has no such."""
    if sys.platform != "linux":
        return None
    fd = os.pidfd_open(pid)
    stack.callback(os.close, fd)
    return fd
