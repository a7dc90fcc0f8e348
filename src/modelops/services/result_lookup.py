"""Between a service's inbox and its queue: what is stored needn't be run."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

from modelops.core.errors import ResultStoreError, ServiceError
from modelops.services.futures import Outcome, SimulationFuture
from modelops.services.stored_results import StoredResults
from modelops.worker.chunks import Function

Environment = Callable[[Function], Awaitable[str]]
"""Finds out the digest of the environment in which a function's simulations would be run; empty if
they can't be run."""


class ResultLookup:
    """Looks for the results of one function's simulations; used in one event loop."""

    def __init__(
        self,
        function: Function,
        *,
        environment: Environment,
        missing: Callable[[Function, Iterable[SimulationFuture]], None],
        settle: Callable[[list[tuple[SimulationFuture, Outcome]]], None],
        thread: ThreadPoolExecutor,
    ) -> None:
        """Make it; nothing is read yet.

        Args:
            function: whose simulations.
            environment: asked once, before anything is looked for.
            missing: given those that have to be run, in their order.
            settle: given the outcomes that were found.
            thread: where what takes long is done.
        """
        self._function = function
        self._environment = environment
        self._missing = missing
        self._settle = settle
        self._thread = thread
        self._waiting: list[SimulationFuture] = []
        self._stored: StoredResults | None = None
        self._looking: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> list[SimulationFuture]:
        """What is being looked for, or will be."""
        return self._waiting

    def add(self, future: SimulationFuture) -> None:
        """Look for the result of a simulation; of several, later than this call."""
        if self._looking is None and self._stored and not self._stored.is_worth_a_look:
            self._missing(self._function, [future])
            return
        self._waiting.append(future)
        if self._looking is None:
            self._looking = asyncio.get_running_loop().create_task(self._look())

    def cancel(self) -> None:
        """Look no longer."""
        if self._looking is not None:
            self._looking.cancel()

    async def _look(self) -> None:
        try:
            while self._waiting:
                await self._look_once()
        except (ResultStoreError, ServiceError) as error:
            self._fail(ServiceError(error.message, hint=error.hint))
        except Exception as error:
            # A fault of ours or of a library: whoever waits is told, and asyncio logs it.
            self._fail(ServiceError(f"Stored results can't be looked for: {error!r}"))
            raise
        finally:
            self._looking = None

    def _fail(self, error: ServiceError) -> None:
        self._settle([(future, error) for future in self._waiting])
        self._waiting.clear()

    async def _look_once(self) -> None:
        loop = asyncio.get_running_loop()
        if self._stored is None:
            environment = await self._environment(self._function)
            if environment:
                self._stored = await loop.run_in_executor(
                    self._thread, StoredResults, self._function.store_url, environment
                )
        futures, found = list(self._waiting), None
        if self._stored is not None:
            stored = self._stored
            found = await loop.run_in_executor(self._thread, lambda: list(stored.find(futures)))
        del self._waiting[: len(futures)]
        if found is None:
            # They can't be run, which they will be told when it's tried.
            self._missing(self._function, futures)
            return
        self._settle([(future, outcome) for future, outcome in found if outcome is not None])
        self._missing(self._function, [future for future, outcome in found if outcome is None])
