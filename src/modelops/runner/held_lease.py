"""Carrying a run out alone: its lease is taken, kept by a thread, and given back.

A lease ends by itself unless it's renewed. Its fence is a number that grows with each holder; what
comes with an older one is refused, so that a runner which was thought dead, and wakes up, can't
write into what another does. Source: Kleppmann, "How to do distributed locking" (2016).
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from modelops.core.errors import JournalError
from modelops.runner.holder import Holder
from modelops.runner.journal import Journal
from modelops.runner.leases import Lease, LeaseHeldError, LeaseLostError

LEASE_SECONDS = 30.0
"""How long a lease lasts that isn't renewed."""
_RENEWALS = 3
_LOOK_SECONDS = 0.5

_log = logging.getLogger("modelops.runner")


@contextmanager
def held_lease(
    journal: Journal,
    url: str,
    run_id: str,
    *,
    seconds: float = LEASE_SECONDS,
    is_over: Callable[[], bool] = lambda: False,
) -> Iterator[Lease]:
    """Hold a run while the block lasts; what the journal writes of it is refused without that.

    A holder that has died on this machine is followed at once. Of another that can't be known: it's
    waited for the end of its lease, which it keeps if it lives.

    Args:
        journal: the journal that the run is written to.
        url: where the thread that keeps the lease finds it.
        run_id: the run.
        seconds: how long the lease lasts without the thread.
        is_over: whether to stop waiting for another's lease.

    Raises:
        LeaseHeldError: if another runner has the run, and lives.
        JournalError: if the journal can't be used.
    """
    lease = _awaited(journal, run_id, seconds, is_over)
    stop = threading.Event()
    keeper = threading.Thread(
        target=_keep, args=(url, lease, seconds, stop), name="lease", daemon=True
    )
    keeper.start()
    try:
        yield lease
    finally:
        stop.set()
        keeper.join()
        try:
            journal.release(lease)
        except JournalError as error:
            # It's another's, or ends by itself.
            _log.warning("The lease of %s wasn't given back: %s", run_id, error.message)


def _awaited(journal: Journal, run_id: str, seconds: float, is_over: Callable[[], bool]) -> Lease:
    holder = Holder.current()
    first: LeaseHeldError | None = None
    while True:
        try:
            return journal.acquire(run_id, holder, seconds)
        except LeaseHeldError as error:
            first = first or error
            if error.expires_at != first.expires_at or is_over():
                # It was renewed meanwhile, so its holder lives.
                raise
        time.sleep(_LOOK_SECONDS)


def _keep(url: str, lease: Lease, seconds: float, stop: threading.Event) -> None:
    while not stop.wait(seconds / _RENEWALS):
        try:
            with Journal.open(url) as journal:
                journal.renew(lease, seconds)
        except LeaseLostError:
            # Whoever writes is told the same.
            return
        except JournalError as error:
            _log.warning("The lease of %s wasn't renewed: %s", lease.run_id, error.message)
