"""Results that are in the object store already, found before anything is sent to a worker."""

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence

from modelops.contracts import SimReturn
from modelops.core.errors import ResultStoreError
from modelops.result_store.index import ResultIndex
from modelops.services.futures import SimulationFuture
from modelops.worker.answers import Answers
from modelops.worker.frames import FrameError

REFRESH_SECONDS = 30.0
"""How often it's looked for what others have stored meanwhile."""

_RECENT = 8

_log = logging.getLogger("modelops.services")


class StoredResults:
    """The stored results of one environment. Slow: to be used in a thread of its own."""

    def __init__(
        self, url: str, environment: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Open the store and see what is there.

        Args:
            url: of the object store.
            environment: the digest of the environment in which the simulations would be run.
            clock: tells the time.

        Raises:
            ResultStoreError: if it can't be opened or listed.
        """
        self._index = ResultIndex(url, environment)
        self._clock = clock
        self._index.refresh()
        self._refreshed = clock()
        self._recent: OrderedDict[str, Answers] = OrderedDict()

    @property
    def is_worth_a_look(self) -> bool:
        """Whether there's anything to find, or it's time to see whether there is."""
        is_due = self._clock() - self._refreshed >= REFRESH_SECONDS
        return is_due or len(self._index) > 0

    def find(
        self, futures: Sequence[SimulationFuture]
    ) -> Iterator[tuple[SimulationFuture, SimReturn | None]]:
        """Yield for each simulation, in order, its stored outcome or None."""
        self._refresh()
        for future in futures:
            yield future, self.outcome(future.digest)

    def outcome(self, digest: bytes) -> SimReturn | None:
        """Return the stored outcome of the task with a digest, as far as was seen; or None."""
        # What turns out not to be readable isn't found again: the same may be elsewhere too.
        while (found := self._index.find(digest)) is not None:
            answers = self._recent.get(found.segment) or self._read(found.segment)
            if answers is not None and found.position < len(answers):
                return answers.outcome(found.position, digest.hex())
            self._index.pass_over(found.segment)
        return None

    def _refresh(self) -> None:
        if self._clock() - self._refreshed < REFRESH_SECONDS:
            return
        self._refreshed = self._clock()
        try:
            self._index.refresh()
        except ResultStoreError as error:
            _log.warning("%s Nothing is found there until it can be listed again.", error.message)

    def _read(self, segment: str) -> Answers | None:
        data = self._index.read(segment)
        try:
            answers = Answers(data) if data is not None else None
        except FrameError as error:
            # Another version wrote it: its results are simulated again.
            _log.warning("The stored results in %s can't be read: %s", segment, error.message)
            return None
        if answers is not None:
            self._recent[segment] = answers
            if len(self._recent) > _RECENT:
                self._recent.popitem(last=False)
        return answers
