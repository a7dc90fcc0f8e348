"""Hooks at the start and the end of a run."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol, runtime_checkable

REDACTED = "[redacted]"
_SECRET_NAME = re.compile(
    r"PASSW|SECRET|TOKEN|CREDENTIAL|PASSPHRASE|PRIVATE|SIGNATURE"
    r"|(?:^|_)(?:KEY|PWD|AUTH|SAS|SIG)(?:_|$)",
    re.IGNORECASE,
)
# Up to the last @ of the text without blanks: a password may hold a / or an @.
_URL_PASSWORD = re.compile(r"(?<=://)([^@:\s]*):(\S+)(?=@)")
_URL_QUERY = re.compile(r"(?<=[?&;])([^=&;#\s]+)=([^&;#\s]*)")


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
    """Return the value, or REDACTED if the name is that of a secret.

    Of a URL in any other variable the password and secret parts of the query go, and the rest
    stays.
    """
    if _SECRET_NAME.search(name):
        return REDACTED
    value = _URL_PASSWORD.sub(rf"\1:{REDACTED}", value)
    return _URL_QUERY.sub(_redact_query, value)


def _redact_query(part: re.Match[str]) -> str:
    is_secret = _SECRET_NAME.search(part[1])
    return f"{part[1]}={REDACTED}" if is_secret else part[0]
