"""What git says about a directory. Nothing here fails: not everybody has git, or uses it."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

_SECONDS = 10.0
# A repository's own settings may name a program that git runs to see what changed.
_GIT = ("git", "-c", "core.fsmonitor=false")


@dataclass(frozen=True)
class GitState:
    """Where a directory is in its history.

    Attributes:
        commit: the commit that is checked out, 40 or 64 hex digits.
        is_dirty: whether something in the directory isn't as it was committed.
    """

    commit: str
    is_dirty: bool


def git_state(directory: Path) -> GitState | None:
    """Return the state of a directory; None where there's no git, no repository or no commit."""
    commit = _git(directory, "rev-parse", "--verify", "HEAD")
    changes = _git(directory, "status", "--porcelain", "--untracked-files=all", "--", ".")
    if not commit or changes is None:
        return None
    return GitState(commit.strip(), bool(changes.strip()))


def git_user(directory: Path) -> str | None:
    """Return `Name <address>` as git knows its user, or the name alone; None if it knows nobody."""
    name = (_git(directory, "config", "--get", "user.name") or "").strip()
    address = (_git(directory, "config", "--get", "user.email") or "").strip()
    if not name:
        return address or None
    return f"{name} <{address}>" if address else name


def _git(directory: Path, *arguments: str) -> str | None:
    """Return what git prints; None if it can't be run, fails or takes too long."""
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"}
    try:
        done = subprocess.run(
            [*_GIT, *arguments],
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else None
