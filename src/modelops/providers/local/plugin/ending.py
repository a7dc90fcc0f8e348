"""Ending processes: the one meant, all that it started, and nothing else."""

import os
import select
import signal
import time
from contextlib import suppress
from pathlib import Path

import psutil

from modelops.core.process_identity import ProcessIdentity

GRACE_SECONDS = 10.0
"""How long a process may take to end by itself after SIGTERM."""


def end_process(
    identity: ProcessIdentity,
    grace: float = GRACE_SECONDS,
    first: signal.Signals = signal.SIGTERM,
) -> None:
    """End a process that leads a session of its own, and every process in that session.

    It gets the signal `first` and `grace` seconds; what is left then gets SIGKILL. Of a leader that
    has ended already, the session is ended. psutil checks a process's start time before each
    signal, so that a reused pid is never hit.
    """
    leader = identity.find()
    members = family(identity)
    if leader is not None:
        _signal(leader, first)
        await_end({leader}, grace)
    left = members | _session(identity)
    for member in left:
        _signal(member, signal.SIGKILL)
    await_end(left, GRACE_SECONDS)


def end_holders(
    lock: Path, grace: float = GRACE_SECONDS, first: signal.Signals = signal.SIGTERM
) -> list[int]:
    """End every process of ours that holds a lock file open; return their pids.

    A process inherits the lock of its folder from whoever started it, so the holder is found even
    if the engine was killed before it could note the pid.
    """
    found = []
    for process in holders(lock):
        with suppress(psutil.NoSuchProcess):
            found.append(ProcessIdentity.of(process))
    # Whoever leads a session is asked first, and ends what it started in its own order.
    for identity in sorted(found, key=_follows):
        end_process(identity, grace, first)
    return [identity.pid for identity in found]


def holders(lock: Path) -> list[psutil.Process]:
    """Return the other processes of this user that have the lock file open."""
    # The system reports paths without symbolic links.
    path = os.path.realpath(lock)
    found = []
    for process in psutil.process_iter():
        if process.pid == os.getpid():
            continue
        try:
            if any(item.path == path for item in process.open_files()):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
    return found


def family(identity: ProcessIdentity) -> set[psutil.Process]:
    """Return the process, if it runs, and all that it started and that runs still."""
    leader = identity.find()
    if leader is None:
        return _session(identity)
    with suppress(psutil.NoSuchProcess):
        return {leader, *leader.children(recursive=True)} | _session(identity)
    return {leader} | _session(identity)


def _follows(identity: ProcessIdentity) -> bool:
    try:
        return os.getsid(identity.pid) != identity.pid
    except (ProcessLookupError, PermissionError):
        return True


def _session(identity: ProcessIdentity) -> set[psutil.Process]:
    """Return the processes of a session, also one whose leader has ended."""
    if not identity.may_lead_session():
        return set()
    members = set()
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == identity.pid:
                members.add(process)
        except (ProcessLookupError, PermissionError):
            continue
    return members


def await_end(processes: set[psutil.Process], seconds: float) -> None:
    """Wait until the processes have ended, whether or not their parents have taken notice.

    psutil would wait until an adopted process has been reaped, which takes some inits a second.
    """
    if not hasattr(os, "pidfd_open"):
        psutil.wait_procs(list(processes), timeout=seconds)
        return
    deadline = time.monotonic() + seconds
    for process in processes:
        try:
            descriptor = os.pidfd_open(process.pid)
        except ProcessLookupError:
            continue
        except OSError:  # not allowed here, or an old kernel
            psutil.wait_procs([process], timeout=max(0.0, deadline - time.monotonic()))
            continue
        try:
            poller = select.poll()
            poller.register(descriptor, select.POLLIN)
            # The descriptor may be that of a process which got the pid since.
            if process.is_running():
                poller.poll(max(0.0, deadline - time.monotonic()) * 1000)
        finally:
            os.close(descriptor)


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    with suppress(psutil.NoSuchProcess):
        process.send_signal(number)
