"""Secrets of an environment: what they may be called, and the copy on this machine."""

import datetime
import os
import re
import stat
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from modelops.core.errors import NotThereError, UsageError

MAX_SECRET_BYTES = 2**20
"""What Kubernetes takes at most."""

_NAME = re.compile(r"[-_a-zA-Z0-9][-._a-zA-Z0-9]{0,252}")
# Stacks keep what is theirs in a folder of that name.
_RESERVED = "stack"


@dataclass(frozen=True)
class SecretEntry:
    """What may be told of a secret; never its value.

    Attributes:
        name: what it is called.
        changed: when it was last written; None if the place doesn't know.
        size: of the value, in bytes.
    """

    name: str
    changed: datetime.datetime | None
    size: int


class SecretStore(Protocol):
    """Where the runs of one environment read secrets from.

    Guarantees: `put` replaces a value as a whole; the next run that starts sees it, and nothing has
    to be restarted for that; no value is ever in an error.
    """

    @property
    def where(self) -> str:
        """The place, in words: `the namespace modelops-dask-dev`."""
        ...

    def put(self, name: str, value: bytes) -> None:
        """Store a secret; one of that name is replaced."""
        ...

    def delete(self, name: str) -> None:
        """Remove a secret; nothing happens if there is none of that name."""
        ...

    def entries(self) -> tuple[SecretEntry, ...]:
        """Return what is there, by name."""
        ...


@dataclass(frozen=True)
class SecretFolder:
    """Secrets as files that the user alone can read, one each; `Home.secrets(env)` is its path.

    Folders below belong to stacks, and aren't looked at.
    """

    path: Path

    @property
    def where(self) -> str:
        """The folder."""
        return str(self.path)

    def put(self, name: str, value: bytes) -> None:
        """Write a secret in one step, mode 0600; what was there stays until then.

        Raises:
            UsageError: if the name or the value can't be a secret's.
        """
        check_secret_name(name)
        check_secret_value(value)
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        for folder in (self.path.parent, self.path):
            folder.chmod(0o700)
        # No secret's name begins with a dot.
        draft = self.path / f".{uuid.uuid4().hex}"
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(value)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self.path / name)
        finally:
            draft.unlink(missing_ok=True)

    def read(self, name: str) -> bytes:
        """Return a secret's value.

        Raises:
            NotThereError: if there is none of that name, with the command that sets it.
            UsageError: if no secret can have that name.
        """
        try:
            return (self.path / check_secret_name(name)).read_bytes()
        except FileNotFoundError:
            raise NotThereError(
                f"There is no secret {name} in {self.path}.",
                hint=f"Set it with: mops secrets set {name} --env {self.path.name}",
            ) from None

    def delete(self, name: str) -> None:
        """Remove a secret's file, if there is one."""
        (self.path / check_secret_name(name)).unlink(missing_ok=True)

    def entries(self) -> tuple[SecretEntry, ...]:
        """Return what is there, by name."""
        try:
            files = sorted(self.path.iterdir())
        except FileNotFoundError:
            return ()
        found = []
        for file in files:
            status = file.stat()
            if stat.S_ISREG(status.st_mode) and _NAME.fullmatch(file.name):
                changed = datetime.datetime.fromtimestamp(status.st_mtime, datetime.UTC)
                found.append(SecretEntry(file.name, changed, status.st_size))
        return tuple(found)


def check_secret_name(name: str) -> str:
    """Return `name` if a secret can have it everywhere: as a key in Kubernetes and as a file.

    Raises:
        UsageError: if it can't.
    """
    if not _NAME.fullmatch(name) or name.casefold() == _RESERVED:
        raise UsageError(
            f"{name!r} can't be a secret's name.",
            hint="Use at most 253 letters, digits, -, _ and ., without a . at the beginning; "
            f"{_RESERVED} is taken.",
        )
    return name


def check_secret_value(value: bytes) -> bytes:
    """Return `value` if it can be a secret's.

    Raises:
        UsageError: if it is empty or too large; the value isn't in the message.
    """
    if not value:
        raise UsageError("The value is empty.", hint="To remove a secret: mops secrets delete NAME")
    if len(value) > MAX_SECRET_BYTES:
        raise UsageError(
            f"The value has more than {MAX_SECRET_BYTES} bytes.",
            hint="Keep large files in the bundle or in the object store, and their key here.",
        )
    return value
