"""Hooks at the start and the end of a run."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol, runtime_checkable

REDACTED = "[redacted]"
_SECRET_NAME = re.compile(
    r"PASSW|SECRET|TOKEN|CREDENTIAL|PASSPHRASE|PRIVATE|(?:^|_)(?:KEY|PWD|AUTH|SAS)(?:_|$)|DATABASE_URL",
    re.IGNORECASE,
)
_URL_PASSWORD = re.compile(r"(?<=://)([^/@:\s]*):([^/@\s]+)(?=@)")


@dataclass(frozen=True)
class RunContext:
    """What a run knows of itself.

    Guarantees: `environment` is the resolved environment with every secret's value replaced by
    REDACTED; it can't be changed.
    """

    run_id: str
    environment: Mapping[str, str]

    def __post_init__(self) -> None:
        redacted = {name: redact(name, value) for name, value in self.environment.items()}
        object.__setattr__(self, "environment", MappingProxyType(redacted))


@runtime_checkable
class HasLifecycle(Protocol):
    """A part that wants to know when a run starts and ends."""

    def on_start(self, ctx: RunContext) -> None:
        """Be called once, before the first simulation is submitted."""
        ...

    def on_finish(self, ctx: RunContext) -> None:
        """Be called once, after the last result or a failure."""
        ...


def redact(name: str, value: str) -> str:
    """Return the value, or REDACTED for a secret; of a URL only the password goes."""
    if _SECRET_NAME.search(name) and "://" not in value:
        return REDACTED
    return _URL_PASSWORD.sub(rf"\1:{REDACTED}", value)
