"""Simulations in threads of this process: to look at a model with a debugger, or under a profiler.

Nothing is kept apart here. The bundle's code runs beside ours, so one that crashes ends us, and a
process runs the code of one bundle only: a module's name stands for one module. A call that takes
too long is given up, but its thread goes on.
"""

import asyncio
import math
import sys
import threading
import time
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from modelops.bundles.access import RegistryAccess
from modelops.contracts import BundleRef, Execution, FailureReason, SimFailure
from modelops.core.errors import BundleError, ServiceError
from modelops.core.settings import Home
from modelops.services.chunked import ChunkedService, ServiceOptions
from modelops.services.thread_output import keep_output, take_output
from modelops.services.transport import Late
from modelops.worker.chunk_outcomes import ChunkOutcomes
from modelops.worker.chunks import Chunk, Done, LateChunk, encode_reply
from modelops.worker.environment import check_requirements
from modelops.worker.frames import joined
from modelops.worker.messages import Ran
from modelops.worker.run_watch import LATE, RunLimits
from modelops.worker.simulating import add_value, read_calls
from modelops.worker.user_code import UserCode, UserCodeError
from modelops.worker.worker_bundles import WorkerBundles


class _OneBundle:
    """The bundle whose modules this process has; there is only one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._digest = ""
        self._code: UserCode | None = None

    def code(self, ref: BundleRef, bundles: WorkerBundles) -> UserCode:
        """Return the code of a bundle.

        Raises:
            BundleError: if it can't be fetched, or asks for what isn't installed.
            ServiceError: if it's another one than before.
        """
        with self._lock:
            if self._code is None:
                bundle = bundles.open(ref)
                try:
                    check_requirements(bundle.folder)
                except BundleError:
                    bundle.close()
                    raise
                # It's held for as long as this process lives.
                self._bundle = bundle
                sys.path.insert(0, str(bundle.folder))
                self._code, self._digest = UserCode(bundle.folder), ref.digest
            if self._digest != ref.digest:
                raise ServiceError(
                    f"This process runs code of the bundle {self._digest} in its threads already.",
                    hint="Use one process for each bundle, or the process service.",
                )
            return self._code


_one_bundle = _OneBundle()


class _ChunkRun:
    """A chunk in a thread of its own, which can be left alone but not be ended."""

    def __init__(self, code: UserCode, chunk: Chunk) -> None:
        self._code = code
        self._chunk = chunk
        self._parts: list[Ran] = []
        self._outcomes = ChunkOutcomes(self._parts.append, take_output)
        self._lock = threading.Lock()
        self._is_given_up = False
        self._position, self._since = 0, time.monotonic()

    def run(self) -> Done:
        """Run as many as the budget allows."""
        keep_output()
        function, outcomes = self._chunk.function, self._outcomes
        try:
            model = self._code.load(function.fn_ref)
        except UserCodeError as error:
            return Done(failure=error.failure)
        for position, (params, seed) in enumerate(read_calls(self._chunk.calls)):
            with self._lock:
                if position and (outcomes.seconds > self._chunk.budget or outcomes.is_full):
                    break
                self._position, self._since = position, time.monotonic()
            outcomes.own()
            failure: SimFailure | None = None
            value: object = None
            try:
                value = self._code.call(model, params, seed)
            except UserCodeError as error:
                failure = error.failure
            with self._lock:
                # Nobody waits for what was given up.
                if not self._is_given_up:
                    self._add(value, failure)
        return _done(outcomes.end())

    def _add(self, value: object, failure: SimFailure | None) -> None:
        outputs = self._chunk.function.outputs
        try:
            if failure is None:
                add = partial(add_value, self._code, value=value, outputs=outputs)
                self._outcomes.add(add, self._since)
        except UserCodeError as error:
            failure = error.failure
        if failure is not None:
            self._outcomes.add_failure(failure, self._since)

    def seconds_left(self) -> float:
        """Return how long the call that runs may still take."""
        limit = self._chunk.function.limits.seconds
        return math.inf if limit is None else max(0.0, self._since + limit - time.monotonic())

    def late(self) -> LateChunk:
        """Return what is done by now."""
        self._outcomes.send()
        part = encode_reply(_done(self._parts.pop())) if self._parts else b""
        return LateChunk(self._position, part=part)

    def give_up(self) -> Done | None:
        """Return what is done, and that the call that runs took too long; None if it didn't."""
        with self._lock:
            if self.seconds_left() > 0:
                return None
            self._is_given_up = True
            message = f"it took longer than {self._chunk.function.limits.seconds:g} s"
            return replace(
                _done(self._outcomes.end()),
                stopped_at=self._position,
                failure=SimFailure(FailureReason.TIMEOUT, message),
                is_final=True,
            )


def _done(ran: Ran) -> Done:
    return Done(joined(ran.answers) if ran.count else b"", seconds=ran.seconds, start=ran.start)


class ThreadTransport:
    """Gives each chunk a thread."""

    def __init__(self, slots: int, registry: RegistryAccess | None, cache_root: Path) -> None:
        """See `ThreadSimulationService`."""
        self._slots = slots
        self._bundles = WorkerBundles(cache_root, registry)

    async def open(self, late: Late) -> None:
        """Begin; a thread starts with its chunk."""
        self._late = late
        self._free = asyncio.Semaphore(self._slots)

    async def slots(self, wanted: int) -> int:
        """Return the slots."""
        del wanted
        return self._slots

    def notice(self, number: int) -> str:
        """Return the number."""
        return str(number)

    async def run(self, data: bytes) -> bytes:
        """Run a chunk; see `Transport.run`."""
        async with self._free:
            return encode_reply(await self._run(Chunk.decode(data)))

    async def warm(self, data: bytes) -> None:
        """Do nothing: a slot's first simulation does the same."""
        del data

    async def close(self) -> None:
        """Do nothing: threads can't be ended; they end with this process."""

    async def _run(self, chunk: Chunk) -> Done:
        ref = chunk.function.bundle_ref
        try:
            code = await asyncio.to_thread(_one_bundle.code, ref, self._bundles)
        except BundleError as error:
            return Done(failure=SimFailure(FailureReason.BUNDLE, str(error)))
        run = _ChunkRun(code, chunk)
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[Done] = loop.create_future()
        threading.Thread(target=_follow, args=(run, loop, ended), daemon=True).start()
        late_in = LATE * chunk.budget if chunk.notice else math.inf
        await asyncio.wait([ended], timeout=_timeout(min(late_in, run.seconds_left())))
        if chunk.notice and not ended.done():
            self._late(int(chunk.notice), run.late())
        while not ended.done():
            await asyncio.wait([ended], timeout=_timeout(run.seconds_left()))
            given_up = None if ended.done() else run.give_up()
            if given_up is not None:
                return given_up
        return ended.result()


def _timeout(seconds: float) -> float | None:
    return None if math.isinf(seconds) else seconds


def _follow(run: _ChunkRun, loop: asyncio.AbstractEventLoop, ended: "asyncio.Future[Done]") -> None:
    """Run a chunk in this thread and tell the loop, if it's still there."""
    outcome: Done | BaseException
    try:
        outcome = run.run()
    except Exception as error:  # noqa: BLE001 - it's raised where the chunk is waited for
        outcome = error

    def tell() -> None:
        if not ended.done():
            if isinstance(outcome, Done):
                ended.set_result(outcome)
            else:
                ended.set_exception(outcome)

    with suppress(RuntimeError):
        loop.call_soon_threadsafe(tell)


class ThreadSimulationService(ChunkedService):
    """A `SimulationService` in threads of this process, for one bundle; see above."""

    def __init__(
        self,
        slots: int,
        *,
        registry: RegistryAccess | None = None,
        cache_root: Path | None = None,
        task_timeout: float | None = None,
        profile: bool = False,
    ) -> None:
        """Make the service; nothing is started yet.

        Args:
            slots: how many simulations run at the same time.
            registry: the registry of bundles whose reference names no host.
            cache_root: where unpacked bundles lie; without it where MODELOPS_HOME says.
            task_timeout: seconds that the call of a model may take before it's given up.
            profile: whether outcomes say where the time went.
        """
        transport = ThreadTransport(slots, registry, cache_root or Home.current().bundle_cache)
        super().__init__(
            transport, ServiceOptions(RunLimits(task_timeout), Execution(profile=profile))
        )
