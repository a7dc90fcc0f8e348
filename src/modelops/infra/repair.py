"""Mending the files of the default backend after a full disk or a power cut.

The engine's file backend (`.pulumi` in its folder) writes a lock or a stack's state beside the old
file and renames it. On a full disk that leaves an empty draft of a lock, which then stops every
operation of the stack, or a state that was cut off; the state before it is beside it, as `.bak`.
"""

import json
import os
import shutil
from pathlib import Path

from modelops.core.errors import EngineError
from modelops.core.settings import Home

_BROKEN = ("unexpected end of JSON input", "failed to load checkpoint", "invalid character")
_ORGANIZATION = "organization"
TO_MAKE = 16 * 1024 * 1024
"""Bytes that an operation needs on the disk: states of the stacks, several times over, and logs."""
TO_DELETE = 1024 * 1024
"""Bytes that taking a stack down needs, which may be what frees the disk."""
TO_ASK = 256 * 1024
"""Bytes that asking the engine something needs: its settings, and a page of its log."""


def is_broken_file(message: str) -> bool:
    """Return whether an engine's error tells of a file that was cut off."""
    return any(words in message for words in _BROKEN)


def repair(home: Home, project: str, stack: str) -> tuple[str, ...]:
    """Mend the files of a stack in the default backend; return what was done, in words.

    To be called while nobody else works on the stack.
    """
    if os.environ.get("PULUMI_BACKEND_URL"):
        return ()
    folder = home.pulumi_state / ".pulumi"
    done = []
    for lock in (folder / "locks" / _ORGANIZATION / project / stack).glob("*"):
        if not _is_whole(lock):
            lock.unlink()
            done.append("remove a lock that was cut off")
    state = folder / "stacks" / project / f"{stack}.json"
    backup = state.with_name(f"{state.name}.bak")
    if state.exists() and not _is_whole(state) and _is_whole(backup):
        # A rename needs no space. What the lost state knew more is found on the machine.
        backup.replace(state)
        done.append("put back the stack's state before the one that was cut off")
    return tuple(done)


def require_space(home: Home, needed: int) -> None:
    """Refuse to begin on a disk that is full: half-written states would come of it.

    Raises:
        EngineError: if fewer than `needed` bytes are free.
    """
    free = free_space(home)
    if free < needed:
        raise EngineError(
            f"The disk of {home.root} is full: {free // 1024} KiB are free.",
            hint=f"Free at least {max(1, needed // 1024**2)} MiB there, or set MODELOPS_HOME to a "
            "folder on another disk.",
        )


def free_space(home: Home) -> int:
    """Return how many bytes are free on the disk of a home."""
    folder = home.root
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def _is_whole(path: Path) -> bool:
    try:
        return bool(json.loads(path.read_text()))
    except (OSError, ValueError):
        return False
