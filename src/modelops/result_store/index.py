"""Finding results that are there: what happens before anything is simulated."""

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from modelops.core.errors import ResultStoreError
from modelops.result_store.batches import batched
from modelops.result_store.catalogue import DAMAGED, GONE, Additions, Catalogue
from modelops.result_store.opening import open_place
from modelops.result_store.places import SegmentKey, check_environment, parse_key
from modelops.result_store.segments import (
    DamagedSegmentError,
    Head,
    decode,
    decode_head,
    head_size,
)

_log = logging.getLogger("modelops.result_store")

_START_BYTES = 2**14
"""How much of a segment is read first: the head of one with up to 508 tasks."""
_AT_ONCE = 256
"""How many heads are read together."""
_RECENT_SEGMENTS = 8
_RECENT_BYTES = 2**27


@dataclass(frozen=True)
class StoredResult:
    """Where the result of a task is.

    Attributes:
        segment: which segment, for `ResultIndex.read`; results with the same are in one answer.
        position: of the task in the chunk that the answer is for.
        answer: reads the answer, as `ResultIndex.read` does.
    """

    segment: str
    position: int
    answer: Callable[[], bytes | None] = field(repr=False, compare=False)


class ResultIndex:
    """Knows which results of an environment are stored; knows none before the first `refresh`.

    Safe in several threads.
    """

    def __init__(self, store_url: str, environment: str) -> None:
        """Open a store.

        Args:
            store_url: as for ResultStore.
            environment: as for ResultStore.

        Raises:
            ResultStoreError: if nothing opens the URL, or a package for it isn't installed.
            ValueError: if `environment` isn't a hash.
        """
        self._environment = check_environment(environment)
        self._place = open_place(store_url)
        self._catalogue = Catalogue()
        self._refreshing = threading.Lock()
        self._recent = _RecentAnswers()

    def __len__(self) -> int:
        """Return how many results are known, each as often as it is stored."""
        return len(self._catalogue)

    def refresh(self) -> None:
        """Learn of new segments, of which only the heads are read, and of those that are gone.

        A segment that is damaged or can't be read is passed over, with a warning.

        Raises:
            ResultStoreError: if the store can't be listed; what was known stays known.
        """
        with self._refreshing:
            catalogue, additions = self._catalogue, Additions()
            listed = bytearray(catalogue.segments)
            for keys in batched(self._new_keys(catalogue, listed), _AT_ONCE):
                self._learn(keys, additions)
            self._catalogue = catalogue.changed(listed, additions)

    def find(self, task_id: bytes) -> StoredResult | None:
        """Return where the result of a task is, or None if it has to be simulated.

        Raises:
            ValueError: if the id hasn't 32 bytes.
        """
        found = self._catalogue.find(task_id)
        if found is None:
            return None
        run_id, digest, position = found
        segment = SegmentKey(self._environment, run_id, digest).path
        return StoredResult(segment, position, partial(self.read, segment))

    def read(self, segment: str) -> bytes | None:
        """Return the answer in a segment, checked against its hash.

        None if it is altered, cut short, gone, or can't be read; its results aren't found any more
        then, unless they are elsewhere too. That is a warning in the log and never an error: what
        isn't there is simulated again.
        """
        answer = self._recent.get(segment)
        if answer is not None:
            return answer
        answer = self._checked(_key_of(segment))
        if answer is not None:
            self._recent.put(segment, answer)
        return answer

    def pass_over(self, segment: str) -> None:
        """Find nothing in a segment any more, as where its answer is whole but can't be used."""
        key = _key_of(segment)
        self._catalogue.mark(key.run_id, key.digest, DAMAGED)

    def _new_keys(self, catalogue: Catalogue, listed: bytearray) -> Iterator[SegmentKey]:
        for key in self._place.keys(self._environment):
            number = catalogue.number(key.run_id, key.digest)
            if number is None:
                yield key
            else:
                listed[number] = True

    def _learn(self, keys: Sequence[SegmentKey], additions: Additions) -> None:
        starts = self._place.read_starts(keys, [_START_BYTES] * len(keys))
        longer: list[SegmentKey] = []
        sizes: list[int] = []
        for key, start in zip(keys, starts, strict=True):
            size = _missing(start)
            if size:
                longer.append(key)
                sizes.append(size)
            else:
                self._add(key, start, additions)
        for key, size in zip(longer, sizes, strict=True):
            # One by one: such a head may have megabytes.
            (start,) = self._place.read_starts([key], [size])
            self._add(key, start, additions)

    def _add(
        self, key: SegmentKey, start: bytes | ResultStoreError | None, additions: Additions
    ) -> None:
        if start is None:
            return
        if isinstance(start, ResultStoreError):
            _log.warning("Results are passed over. %s", start)
            return
        head: Head | None = None
        try:
            head = decode_head(key.digest, start)
        except DamagedSegmentError as error:
            self._warn(key, f"is damaged: {error}.")
        additions.add(key.run_id, key.digest, head)

    def _checked(self, key: SegmentKey) -> bytes | None:
        try:
            data = self._place.read(key)
            if data is not None:
                return decode(key.digest, data).answer
            state, why = GONE, "is gone."
        except DamagedSegmentError as error:
            state, why = DAMAGED, f"is damaged: {error}."
        except ResultStoreError as error:
            state, why = GONE, f"can't be read. {error}"
        self._catalogue.mark(key.run_id, key.digest, state)
        self._warn(key, why)
        return None

    def _warn(self, key: SegmentKey, why: str) -> None:
        _log.warning(
            "Results are simulated again: the segment %s in %s %s", key.path, self._place.name, why
        )


class _RecentAnswers:
    """The answers that were read last: results of a chunk are asked for one after the other."""

    def __init__(self) -> None:
        self._answers: OrderedDict[str, bytes] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, segment: str) -> bytes | None:
        with self._lock:
            answer = self._answers.get(segment)
            if answer is not None:
                self._answers.move_to_end(segment)
            return answer

    def put(self, segment: str, answer: bytes) -> None:
        with self._lock:
            if segment in self._answers:
                return
            self._answers[segment] = answer
            self._bytes += len(answer)
            while len(self._answers) > 1 and (
                len(self._answers) > _RECENT_SEGMENTS or self._bytes > _RECENT_BYTES
            ):
                _, old = self._answers.popitem(last=False)
                self._bytes -= len(old)


def _key_of(segment: str) -> SegmentKey:
    key = parse_key(segment)
    if key is None:
        raise ValueError(f"{segment!r} isn't a segment")
    return key


def _missing(start: bytes | ResultStoreError | None) -> int:
    """Return the size of the head if that is more than was read, else 0."""
    if not isinstance(start, bytes) or len(start) < _START_BYTES:
        return 0
    try:
        size = head_size(start)
    except DamagedSegmentError:
        return 0
    return size if size > len(start) else 0
