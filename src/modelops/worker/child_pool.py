"""The warm children of one worker process."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from modelops.core.errors import ServiceError
from modelops.environments import BundleEnvironment
from modelops.worker.child_process import ChildProcess
from modelops.worker.fork_server_process import ForkServer
from modelops.worker.warm_child import WarmChild


class ChildPool:
    """At most `limit` warm children, shared by the threads of a worker.

    A child serves one bundle in one environment and one isolation, which its key names. Where
    another is wanted and the limit is reached, the child that was idle for longest makes room. More
    threads than `limit` would each get a child all the same, so `limit` is the number of threads.

    Processes in the worker's own environment are copies of a server's, which is started ahead.
    """

    def __init__(self, limit: int, *, beside: "ChildPool | None" = None) -> None:
        """Make an empty pool.

        Args:
            limit: the number of threads.
            beside: another pool, whose server it uses; it's to be closed before that one.
        """
        self._limit = limit
        self._lock = threading.Lock()
        self._idle: list[tuple[str, WarmChild]] = []
        """The one that was idle for longest comes first."""
        self._busy: set[WarmChild] = set()
        self._is_closed = False
        # Elsewhere there are no descriptors of processes.
        self._owns_server = beside is None and sys.platform == "linux"
        self._server: ForkServer | None = None
        if self._owns_server:
            self._server = ForkServer()
        elif beside is not None:
            self._server = beside.server

    @property
    def server(self) -> ForkServer | None:
        """What its processes are copies of, where there's such a thing."""
        return self._server

    @property
    def is_closed(self) -> bool:
        """Whether the pool was closed, so that a call that failed may have been cut short."""
        return self._is_closed

    @contextmanager
    def child(
        self,
        key: str,
        bundle_dir: Path,
        packages: BundleEnvironment | None = None,
    ) -> Iterator[WarmChild]:
        """Lend a child that runs the bundle's code; it's idle again afterwards.

        Args:
            key: of the bundle, its environment and its isolation.
            bundle_dir: the unpacked bundle.
            packages: the environment; none means that this interpreter has all.

        Raises:
            ServiceError: if the pool is closed.
        """
        child = self._take(key, bundle_dir, packages)
        try:
            yield child
        finally:
            self._give_back(key, child)

    def close(self) -> None:
        """End all children, the busy ones too, and lend no more."""
        with self._lock:
            self._is_closed = True
            children = [*self._busy, *(child for _, child in self._idle)]
            self._idle.clear()
        for child in children:
            child.close()
        if self._server is not None and self._owns_server:
            self._server.close()

    def _take(self, key: str, bundle_dir: Path, packages: BundleEnvironment | None) -> WarmChild:
        dropped = []
        with self._lock:
            if self._is_closed:
                raise ServiceError("The pool of children is closed.")
            # The one used last is the likeliest to be in the processor's caches.
            for index in reversed(range(len(self._idle))):
                if self._idle[index][0] == key:
                    child = self._idle.pop(index)[1]
                    break
            else:
                is_ours = packages is None or packages.interpreter == sys.executable
                start = self._start_copy if is_ours and self._server else None
                child = WarmChild(bundle_dir, packages=packages, start=start)
                while self._idle and len(self._idle) + len(self._busy) >= self._limit:
                    dropped.append(self._idle.pop(0)[1])
            self._busy.add(child)
        for other in dropped:
            other.close()
        return child

    def _give_back(self, key: str, child: WarmChild) -> None:
        with self._lock:
            self._busy.discard(child)
            is_kept = not self._is_closed and len(self._idle) + len(self._busy) < self._limit
            if is_kept:
                self._idle.append((key, child))
        if not is_kept:
            child.close()

    def _start_copy(self) -> ChildProcess:
        return ChildProcess(server=self._server)
