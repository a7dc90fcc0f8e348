"""What a service needs of the place where its workers are."""

from collections.abc import Callable
from typing import Protocol

from modelops.core.errors import ServiceError
from modelops.worker.chunks import LateChunk

Late = Callable[[int, LateChunk], None]
"""Told, from any thread, that the chunk of a number is late."""


class WorkersLostError(ServiceError):
    """The workers that had a chunk are gone; it may be run again."""


class Transport(Protocol):
    """Brings chunks to workers. All methods are called in one event loop."""

    async def open(self, late: Late) -> None:
        """Connect.

        Raises:
            ServiceError: if that isn't possible.
        """

    async def slots(self, wanted: int) -> int:
        """Return how many simulations can run at the same time now; 0 while there's no worker.

        Args:
            wanted: how many more could be used, for places that grow.
        """

    def notice(self, number: int) -> str:
        """Return under which name a worker says that the chunk of a number is late; or empty."""

    async def run(self, data: bytes) -> bytes:
        """Run a chunk somewhere and return its reply; cancelled, it's given up.

        Raises:
            WorkersLostError: if it may be run again.
            ServiceError: if it can't be run at all.
        """

    async def warm(self, data: bytes) -> None:
        """Give a chunk without calls to every worker, so that it has the bundle's code ready.

        Whether that succeeds makes no difference: it's done again for the first simulation.
        """

    async def close(self) -> None:
        """Give up what is under way and disconnect."""
