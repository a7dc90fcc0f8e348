"""What comes of the provider's operations."""

from dataclasses import dataclass

from kubernetes_provider.changes import Change
from kubernetes_provider.properties import Properties


class RefusedError(Exception):
    """An operation failed and changed nothing."""


@dataclass
class PartlyDoneError(Exception):
    """An operation went through, but the object isn't as it should be: its state is kept."""

    id: str
    message: str
    reasons: list[str]
    state: Properties
    inputs: Properties | None = None


@dataclass(frozen=True)
class Difference:
    """What an update would change; `goes_first` if the old object has to go before the new."""

    changes: list[Change]
    replaces: list[str]
    goes_first: bool


@dataclass(frozen=True)
class Found:
    """What a refresh found; nothing of an object that is gone."""

    id: str = ""
    state: Properties | None = None
    inputs: Properties | None = None
