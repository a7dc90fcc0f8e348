"""How simulations are run, as far as it decides nothing of their results but their packages."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Any, Self

from modelops.contracts.errors import ContractError


class Isolation(Enum):
    """What two simulations of one bundle may share."""

    WARM = "warm"
    """A process: the model is imported once, and what it keeps in global variables stays."""
    FORK = "fork"
    """The state after the import: each is run in a copy of the warmed process."""
    FRESH = "fresh"
    """Nothing: each has a process of its own that imports the model anew."""


class EnvironmentMode(StrEnum):
    """How the packages that a bundle asks for are met."""

    LAYERED = "layered"
    """By the worker's own, and what is missing on top of them."""
    ISOLATED = "isolated"
    """By an environment of the bundle's own."""


@dataclass(frozen=True)
class Execution:
    """How a run's simulations are run.

    Attributes:
        isolation: how far they are kept apart.
        environment: how their bundle's packages are met.
        keep_outputs: whether their tables are kept in the object store, and found there again.
        profile: whether it's told where their time went.
    """

    isolation: Isolation = Isolation.WARM
    environment: EnvironmentMode = EnvironmentMode.LAYERED
    keep_outputs: bool = True
    profile: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "isolation": self.isolation.value,
            "environment": self.environment.value,
            "keep_outputs": self.keep_outputs,
            "profile": self.profile,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote.

        Raises:
            ContractError: if a part is missing or of another form.
        """
        try:
            return cls(
                Isolation(value["isolation"]),
                EnvironmentMode(value["environment"]),
                value["keep_outputs"] is True,
                value["profile"] is True,
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ContractError(f"this isn't how simulations are run: {error!r}") from error
