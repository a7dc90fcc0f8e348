"""Whom PostgreSQL runs as: ourselves, or, since it refuses to be root, another user."""

import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelops.core.errors import ProviderError

_NAMES = ("postgres", "nobody")


@dataclass(frozen=True)
class Account:
    """A user of this machine other than root."""

    name: str
    uid: int
    gid: int

    def popen_arguments(self) -> dict[str, Any]:
        """Return what makes `subprocess` run a program as this user."""
        return {"user": self.uid, "group": self.gid, "extra_groups": self._groups()}

    def become(self) -> None:
        """Make this process one of the user's, for good."""
        os.setgroups(self._groups())
        os.setgid(self.gid)
        os.setuid(self.uid)

    def can_enter(self, folder: Path) -> bool:
        """Return whether the user can reach what is in a folder."""
        child = os.fork()
        if child == 0:
            try:
                self.become()
                os._exit(0 if os.access(folder, os.X_OK) else 1)
            finally:
                os._exit(1)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

    def _groups(self) -> list[int]:
        return os.getgrouplist(self.name, self.gid)


def server_account() -> Account | None:
    """Return the user that PostgreSQL runs as if we are root, else None: it runs as we do.

    Raises:
        ProviderError: if there is no such user.
    """
    if os.geteuid() != 0:
        return None
    for name in _NAMES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, entry.pw_uid, entry.pw_gid)
    raise ProviderError(
        "PostgreSQL refuses to run as root, and this machine has no user postgres or nobody.",
        hint="Make one (useradd --system postgres), or write `engine: sqlite`.",
    )


def let_in(account: Account, folder: Path, home: Path) -> None:
    """Let a user pass through our folders from `home` down to `folder`.

    A folder that keeps the user out gets the permission to pass through (0711), not to list. None
    above `home` is touched, and none that belongs to someone else.

    Raises:
        ProviderError: if the user can't reach it then.
    """
    # Links are followed: what counts is where the folders are.
    home, folder = home.resolve(), folder.resolve()
    ours = [home, *reversed([part for part in folder.parents if home in part.parents]), folder]
    if account.can_enter(home.parent):
        for part in ours:
            status = part.stat()
            if not account.can_enter(part) and status.st_uid == os.geteuid():
                part.chmod(stat.S_IMODE(status.st_mode) | stat.S_IXGRP | stat.S_IXOTH)
    if not account.can_enter(folder):
        way = [*reversed(home.parents), *ours]
        closed = next(part for part in way if not account.can_enter(part))
        raise ProviderError(
            f"PostgreSQL refuses to run as root, and the user {account.name}, whom it would run "
            f"as, can't enter {closed}.",
            hint=f"Set MODELOPS_HOME to a folder which the user {account.name} can reach, such as "
            "/var/lib/modelops, or write `engine: sqlite`.",
        )
