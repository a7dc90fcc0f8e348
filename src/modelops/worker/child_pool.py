"""The warm children of one worker process."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from modelops.core.errors import ServiceError
from modelops.worker.warm_child import WarmChild


class ChildPool:
    """At most `limit` warm children, shared by the threads of a worker.

    A child serves one bundle, which its digest names. Where another bundle's code is wanted and
    the limit is reached, the child that was idle for longest makes room. More threads than
    `limit` would each get a child all the same, so `limit` is the number of threads.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._idle: list[tuple[str, WarmChild]] = []
        """The one that was idle for longest comes first."""
        self._busy: set[WarmChild] = set()
        self._is_closed = False

    @property
    def is_closed(self) -> bool:
        """Whether the pool was closed, so that a call that failed may have been cut short."""
        return self._is_closed

    @contextmanager
    def child(self, digest: str, bundle_dir: Path) -> Iterator[WarmChild]:
        """Lend a child that runs the bundle's code; it's idle again afterwards.

        Raises:
            ServiceError: if the pool is closed.
        """
        child = self._take(digest, bundle_dir)
        try:
            yield child
        finally:
            self._give_back(digest, child)

    def close(self) -> None:
        """End all children, the busy ones too, and lend no more."""
        with self._lock:
            self._is_closed = True
            children = [*self._busy, *(child for _, child in self._idle)]
            self._idle.clear()
        for child in children:
            child.close()

    def _take(self, digest: str, bundle_dir: Path) -> WarmChild:
        dropped = []
        with self._lock:
            if self._is_closed:
                raise ServiceError("The pool of children is closed.")
            # The one used last is the likeliest to be in the processor's caches.
            for index in reversed(range(len(self._idle))):
                if self._idle[index][0] == digest:
                    child = self._idle.pop(index)[1]
                    break
            else:
                child = WarmChild(bundle_dir)
                while self._idle and len(self._idle) + len(self._busy) >= self._limit:
                    dropped.append(self._idle.pop(0)[1])
            self._busy.add(child)
        for other in dropped:
            other.close()
        return child

    def _give_back(self, digest: str, child: WarmChild) -> None:
        with self._lock:
            self._busy.discard(child)
            is_kept = not self._is_closed and len(self._idle) + len(self._busy) < self._limit
            if is_kept:
                self._idle.append((digest, child))
        if not is_kept:
            child.close()
