"""Ending processes: the one meant, all that it started, and nothing else."""

import os
from contextlib import suppress
from pathlib import Path

import psutil

GRACE_SECONDS = 10.0
"""How long a process may take to end by itself after SIGTERM."""


def end_process(process: psutil.Process, grace: float = GRACE_SECONDS) -> None:
    """End a process that leads a session of its own, and every process in that session.

    It gets SIGTERM and `grace` seconds; what is left then gets SIGKILL. psutil checks a process's
    start time before each signal, so that a reused pid is never hit.
    """
    family = _family(process)
    _signal(process, kill=False)
    psutil.wait_procs([process], timeout=grace)
    left = {*family, *_session(process.pid)}
    for member in left:
        _signal(member, kill=True)
    psutil.wait_procs(list(left), timeout=grace)


def end_holders(lock: Path, grace: float = GRACE_SECONDS) -> list[int]:
    """End every process of ours that holds a lock file open; return their pids.

    A process inherits the lock of its folder from whoever started it, so the holder is found even
    if the engine was killed before it could note the pid.
    """
    ended = []
    for process in holders(lock):
        end_process(process, grace)
        ended.append(process.pid)
    return ended


def holders(lock: Path) -> list[psutil.Process]:
    """Return the other processes of this user that have the lock file open."""
    found = []
    for process in psutil.process_iter():
        if process.pid == os.getpid():
            continue
        try:
            if any(item.path == str(lock) for item in process.open_files()):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
    return found


def _family(process: psutil.Process) -> set[psutil.Process]:
    try:
        return {process, *process.children(recursive=True)}
    except psutil.NoSuchProcess:
        return {process}


def _session(leader: int) -> set[psutil.Process]:
    members = set()
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == leader:
                members.add(process)
        except (ProcessLookupError, PermissionError):
            continue
    return members


def _signal(process: psutil.Process, *, kill: bool) -> None:
    with suppress(psutil.NoSuchProcess):
        process.kill() if kill else process.terminate()
