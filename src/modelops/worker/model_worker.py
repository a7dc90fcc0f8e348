"""What a worker is, wherever it runs: the cache of bundles, and a warm child for each slot."""

import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from modelops.bundles.access import RegistryAccess
from modelops.contracts import FailureReason, SimFailure
from modelops.core.errors import BundleError, ModelOpsError, ResultStoreError
from modelops.core.logs import of_run
from modelops.core.settings import Home
from modelops.environments import EnvironmentCache
from modelops.result_store.store import ResultStore
from modelops.worker.child_pool import ChildPool
from modelops.worker.chunks import (
    DIGEST_BYTES,
    Chunk,
    Done,
    LateChunk,
    Trouble,
    encode_reply,
)
from modelops.worker.frames import Payload, joined
from modelops.worker.messages import Ran, Run
from modelops.worker.output_aligner import OutputAligner
from modelops.worker.warm_child import Stopped, WarmChild
from modelops.worker.worker_bundles import WorkerBundles
from modelops.worker.worker_metrics import NO_METRICS, WorkerMetrics, worker_metrics

_log = logging.getLogger("modelops.worker")

Notice = Callable[[str, LateChunk], None]
"""Told of a chunk that is late, by its `notice`; from the thread that runs it."""

_Shorten = Callable[[Payload, Sequence[int]], tuple[Payload, tuple[int, ...]]]
"""Puts points in the place of large tables, see `OutputAligner.shortened`."""


class ModelWorker:
    """Runs chunks of simulations, each in the calling thread, with the code of any bundle."""

    def __init__(
        self,
        slots: int,
        *,
        cache_root: Path,
        registry: RegistryAccess | None,
        metrics: WorkerMetrics = NO_METRICS,
    ) -> None:
        """Make a worker; processes are started ahead.

        Args:
            slots: how many threads call it.
            cache_root: where unpacked bundles lie, shared with other workers of the machine.
            registry: the registry of bundles whose reference names no host.
            metrics: told of what it does.
        """
        self._metrics = metrics
        metrics.has_slots(slots)
        self._bundles = WorkerBundles(cache_root, registry, metrics)
        self._environments = EnvironmentCache(Home.current().environments)
        self._stores: dict[tuple[str, str], ResultStore] = {}
        self._pool = ChildPool(slots)
        self._aligner = OutputAligner(slots, beside=self._pool)

    @classmethod
    def from_environment(
        cls, slots: int, environment: Mapping[str, str] = os.environ
    ) -> "ModelWorker":
        """Make the worker that MODELOPS_HOME and MODELOPS_BUNDLE_REGISTRY… describe."""
        registry = RegistryAccess.from_environment(environment)
        return cls(
            slots,
            cache_root=Home.current().bundle_cache,
            registry=registry,
            metrics=worker_metrics(environment),
        )

    def run(self, data: bytes, notice: Notice | None = None) -> bytes:
        """Run the chunk that a frame describes; return the reply's frame.

        Raises:
            FrameError: if `data` isn't a chunk.
        """
        chunk = Chunk.decode(data)
        with of_run(chunk.function.run_id), self._metrics.busy():
            return encode_reply(self._run(chunk, notice))

    def close(self) -> None:
        """End the children, and with them what is under way. May be called twice."""
        self._aligner.close()
        self._pool.close()

    def _run(self, chunk: Chunk, notice: Notice | None) -> Done | Trouble:
        begun = time.monotonic()
        function = chunk.function
        try:
            with self._bundles.open(function.bundle_ref, function.public_key) as bundle:
                packages = self._environments.prepare(bundle.folder, function.environment)
                if chunk.is_question:
                    return Done(environment=packages.digest)
                # What warm simulations left in a process, others mustn't begin with.
                isolation = function.isolation.value
                key = f"{function.bundle_ref.digest} {packages.digest} {isolation}"
                with self._pool.child(key, bundle.folder, packages) as child:
                    failure = child.load(function.fn_ref)
                    if failure is not None:
                        return Done(failure=failure)
                    if not chunk.digests:
                        return Done(environment=packages.digest)
                    starting = time.monotonic() - begun
                    blank = Done(starting=starting, environment=packages.digest)
                    shorten = partial(
                        self._aligner.shortened,
                        function=function,
                        folder=bundle.folder,
                        packages=packages,
                    )
                    notice = notice if chunk.notice else None
                    return self._simulate(child, chunk, blank, shorten, notice)
        except BundleError as error:
            return Done(failure=SimFailure(FailureReason.BUNDLE, str(error)))
        except ModelOpsError as error:
            return Trouble(error.message, error.hint, is_passing=self._pool.is_closed)

    def _simulate(
        self,
        child: WarmChild,
        chunk: Chunk,
        blank: Done,
        shorten: _Shorten,
        notice: Notice | None,
    ) -> Done:
        """Run a chunk; `blank` is a reply without outcomes."""
        function, limits = chunk.function, chunk.function.limits
        request = Run(
            fn_ref=function.fn_ref,
            calls=chunk.calls,
            outputs=function.outputs,
            budget=chunk.budget,
            isolation=function.isolation,
            memory=limits.memory,
            files=limits.files,
        )

        def late(position: int, is_very_late: bool) -> None:
            if notice:
                notice(chunk.notice, LateChunk(position, is_very_late))

        def part(ran: Ran) -> None:
            if notice:
                # What is sent ahead isn't large.
                reply = encode_reply(self._done(chunk, ran, blank))
                notice(chunk.notice, LateChunk(ran.start + ran.count, part=reply))

        match child.run(request, limits, late, part if notice else None):
            case Stopped(position, failure, is_final):
                self._child_ended(failure)
                return replace(blank, stopped_at=position, failure=failure, is_final=is_final)
            case Ran() as ran:
                done = self._done(chunk, ran, blank)
                answers, aligned = shorten(done.answers, ran.large)
                return replace(done, answers=answers, aligned=aligned)
            case failure:
                return replace(blank, failure=failure)

    def _done(self, chunk: Chunk, ran: Ran, blank: Done) -> Done:
        """Keep the results of a chunk, or of a part of it, and return the reply."""
        self._metrics.simulated(ran.count, len(ran.failed), ran.seconds)
        if ran.crash is not None:
            self._child_ended(ran.crash)
        done = replace(
            blank,
            answers=joined(ran.answers),
            seconds=ran.seconds,
            stopped_at=-1 if ran.crash is None else ran.start + ran.count,
            failure=ran.crash,
            start=ran.start,
        )
        return replace(done, unstored=self._store(chunk, ran, done))

    def _child_ended(self, failure: SimFailure) -> None:
        self._metrics.child_ended(failure.reason)
        _log.warning("A simulation ended its process: %s", failure.message)

    def _store(self, chunk: Chunk, ran: Ran, done: Done) -> str:
        """Keep the results; return why that isn't possible, if so."""
        function = chunk.function
        completed = [True] * ran.count
        for position in ran.failed:
            completed[position] = False
        if not function.store_url or not any(completed):
            return ""
        start, end = DIGEST_BYTES * ran.start, DIGEST_BYTES * (ran.start + ran.count)
        key = (function.store_url, done.environment)
        try:
            store = self._stores.get(key) or ResultStore(*key)
            self._stores[key] = store
            digests = bytes(chunk.digests[start:end])
            store.write(function.run_id, digests, completed, bytes(done.answers))
        except ResultStoreError as error:
            # The results are there: to lose them because they can't be kept would help nobody.
            return str(error)
        return ""
