"""What all services have in common: simulations come in one by one and travel in chunks."""

import asyncio
import threading
from collections import deque
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self, TypeVar

from modelops.contracts import (
    BundleRef,
    Execution,
    Future,
    PublicKey,
    RunContext,
    Scalar,
    SimReturn,
)
from modelops.contracts.simulation import check_fn_ref, encode_calls
from modelops.core.errors import ServiceError
from modelops.services.dispatcher import Dispatcher
from modelops.services.futures import SimulationFuture, settle
from modelops.services.garbage import collect_as_before, collect_rarely
from modelops.services.profile import Profile
from modelops.services.transport import Transport
from modelops.worker.chunks import Function
from modelops.worker.run_watch import RunLimits

_Result = TypeVar("_Result")


@dataclass(frozen=True)
class ServiceOptions:
    """What a service does with simulations, wherever they run.

    Attributes:
        limits: of each simulation.
        execution: how they are run.
        public_key: what every bundle must be signed with; a worker fails the tasks of others.
        store_url: the object store where results are kept and found again; empty for nowhere.
    """

    limits: RunLimits = field(default_factory=RunLimits)
    execution: Execution = field(default_factory=Execution)
    public_key: PublicKey | None = None
    store_url: str = ""


class ChunkedService:
    """A `SimulationService` over a transport. Nothing but frames crosses it.

    A task whose worker is lost is run again. Tasks that are given up end when the model's call
    does, or at their time limit. However many simulations wait, they wait here, where each costs
    some hundred bytes: the `dispatcher` gives workers two chunks a slot.

    While one is open, Python's garbage is collected more rarely in this process (`garbage`).

    Attributes:
        condition: that of its futures, see `futures.settle`.
    """

    def __init__(self, transport: Transport, options: ServiceOptions) -> None:
        """Connect.

        Raises:
            ServiceError: if the transport can't be opened.
        """
        self._options = options
        self._inbox: deque[tuple[Function, SimulationFuture]] = deque()
        self._functions: dict[tuple[str, str], Function] = {}
        self._is_called = False
        self._run_id = "unnamed"
        self._targets: tuple[tuple[str, str], ...] = ()
        self._closing = threading.Lock()
        self._is_closed = False
        self.condition = threading.Condition()
        self._dispatcher = Dispatcher(
            transport, self.condition, tells_timing=options.execution.profile
        )
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="service", daemon=True)
        self._thread.start()
        try:
            self._await(self._dispatcher.open())
        except BaseException:
            self._is_closed = True
            self._end_loop()
            raise
        collect_rarely()

    @property
    def profile(self) -> Profile:
        """Where the time went of what was run, if the service was asked to tell."""
        return self._dispatcher.profile

    @property
    def waiting(self) -> int:
        """How many simulations no worker has got yet; may be asked from any thread."""
        return len(self._inbox) + self._dispatcher.waiting

    def submit(
        self, fn_ref: str, params: Mapping[str, Scalar], seed: int, *, bundle_ref: BundleRef
    ) -> Future:
        """Start a simulation and return at once.

        The future's `result` raises ServiceError if the simulation can't be run for reasons that
        lie outside it: the scheduler is gone for good, a worker lacks the plugin.

        Raises:
            ContractError: if a parameter isn't a finite scalar or the seed isn't a uint64.
            ServiceError: if the service is closed.
        """
        (future,) = self.submit_many(fn_ref, [(params, seed)], bundle_ref=bundle_ref)
        return future

    def submit_many(
        self,
        fn_ref: str,
        calls: Sequence[tuple[Mapping[str, Scalar], int]],
        *,
        bundle_ref: BundleRef,
    ) -> list[Future]:
        """Start simulations and return at once; see `submit` and `SubmitsMany`.

        What comes together travels together: of simulations that come one by one, the first is on
        its way before the second is there.

        Raises:
            ContractError: if a parameter isn't a finite scalar or a seed isn't a uint64.
            ServiceError: if the service is closed.
        """
        encoded = encode_calls(bundle_ref, fn_ref, calls)
        function = self._functions.get((fn_ref, bundle_ref.digest))
        if function is None or function.bundle_ref is not bundle_ref:
            function = self._function(bundle_ref, fn_ref)
        futures = [SimulationFuture(self, *each) for each in encoded]
        self._inbox.extend([(function, future) for future in futures])
        if self._is_closed:
            # Whoever closed it may have emptied the inbox before.
            raise ServiceError("The simulation service is closed.")
        self._call()
        return list(futures)

    def gather(self, futures: Sequence[Future]) -> list[SimReturn]:
        """Wait for all and return their outcomes in the order of `futures`.

        Raises:
            ServiceError: if one can't be run.
            concurrent.futures.CancelledError: if one was cancelled.
        """
        return [future.result() for future in futures]

    def on_start(self, ctx: RunContext) -> None:
        """Keep the results from now on under the run's name; see `HasLifecycle`."""
        self._run_id = ctx.run_id
        self._functions.clear()

    def on_finish(self, ctx: RunContext) -> None:
        """Do nothing: the service may carry another run; see `HasLifecycle`."""

    def give_up(self, future: SimulationFuture) -> None:
        """Be told that a future was cancelled."""
        del future
        self._call()

    def close(self) -> None:
        """Cancel what is under way and disconnect. May be called twice; not from a callback."""
        with self._closing:
            if self._is_closed:
                return
            self._is_closed = True
        collect_as_before()
        self._await(self._shut_down())
        self._end_loop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _function(self, bundle_ref: BundleRef, fn_ref: str) -> Function:
        """Return what the simulations of a function have in common."""
        options, execution = self._options, self._options.execution
        function = Function(
            bundle_ref,
            fn_ref,
            (),
            execution.isolation,
            execution.environment,
            options.limits,
            options.public_key,
            options.store_url if execution.keep_outputs else "",
            self._run_id,
            self._targets,
        )
        self._functions[fn_ref, bundle_ref.digest] = function
        return function

    def _call(self) -> None:
        """Let the loop look at what there is to do, if it isn't going to anyway."""
        if not self._is_called:
            self._is_called = True
            with self._closing:
                if not self._is_closed:
                    self._loop.call_soon_threadsafe(self._pump)

    def _await(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _end_loop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    # In the loop's thread.

    def _pump(self) -> None:
        self._is_called = False
        while self._inbox:
            self._dispatcher.add(*self._inbox.popleft())
        self._dispatcher.dispatch()

    async def _shut_down(self) -> None:
        settle([(future, None) for _, future in self._inbox], self.condition)
        self._inbox.clear()
        await self._dispatcher.close()


class AligningService(ChunkedService):
    """A service whose workers can align large outputs with a run's targets.

    What was stored before is given with its tables: no worker has it.
    """

    def align_outputs(self, targets: Mapping[str, str]) -> None:
        """Align large outputs of what is submitted from now on; see `AlignsOutputs`.

        Raises:
            ContractError: if a function's name isn't one.
        """
        for fn_ref in targets.values():
            check_fn_ref(fn_ref)
        self._targets = tuple(targets.items())
        self._functions.clear()
