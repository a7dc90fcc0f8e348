"""Removing results that nobody needs any more, by age and by run."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from modelops.core.errors import ResultStoreError
from modelops.result_store.batches import batched
from modelops.result_store.opening import open_place
from modelops.result_store.places import SegmentPlace, StoredSegment

_AT_ONCE = 1000


@dataclass(frozen=True)
class Collected:
    """What was removed: how many segments, and how many bytes they had together."""

    segments: int
    bytes: int


def collect(
    url: str, *, older_than: timedelta | None, runs: Collection[str] | None, now: datetime
) -> Collected:
    """Remove segments, of all environments, and what killed writers left.

    Safe beside writers, readers and other collectors: whoever looks for a removed result simulates
    it again.

    Args:
        url: as for ResultStore.
        older_than: remove what was written longer ago; None: whatever its age.
        runs: remove what was simulated for these runs; None: for any.
        now: with a time zone.

    Raises:
        ResultStoreError: if the store can't be listed, or something can't be removed, as from one
            that is read by http.
        ValueError: if neither an age nor runs are given; `timedelta(0)` removes everything.
    """
    if older_than is None and runs is None:
        raise ValueError("say which results are to be removed: how old ones, or of which runs")
    place = open_place(url)
    if not place.is_writable:
        raise ResultStoreError(
            f"Nothing can be removed from {place.name}: from here it can only be read.",
            hint="Results on a volume of a cluster go with all its data: mops down --delete-data. "
            "Those in a bucket (spec.objectStore) can be pruned from anywhere.",
        )
    limit = None if older_than is None else now - older_than
    segments = size = 0
    for items in batched(_chosen(place, limit, runs), _AT_ONCE):
        removed = place.remove([item.key for item in items])
        segments += sum(removed)
        size += sum(item.size for item, gone in zip(items, removed, strict=True) if gone)
    place.tidy(now)
    return Collected(segments, size)


def _chosen(
    place: SegmentPlace, limit: datetime | None, runs: Collection[str] | None
) -> Iterator[StoredSegment]:
    for item in place.stored():
        if (limit is None or item.written <= limit) and (runs is None or item.key.run_id in runs):
            yield item
