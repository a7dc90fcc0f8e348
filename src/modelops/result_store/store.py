"""Writing results: what a worker does before it returns them."""

from collections.abc import Sequence

from modelops.core.naming import check_dns_label
from modelops.result_store.opening import open_place
from modelops.result_store.places import SegmentKey, check_environment
from modelops.result_store.segments import Segment, encode_head, head_digest, split_ids


class ResultStore:
    """Keeps results of one environment: of one interpreter with its packages.

    Safe in several threads and processes at once. A process that is killed while it writes leaves
    nothing that reads as a result.
    """

    def __init__(self, url: str, environment: str) -> None:
        """Open a store.

        Args:
            url: of the object store's folder: whatever fsspec opens, or a path.
            environment: a hash of the interpreter and its packages, in hexadecimal digits; results
                of another environment are others.

        Raises:
            ResultStoreError: if nothing opens the URL, or a package for it isn't installed.
            ValueError: if `environment` isn't a hash.
        """
        self._environment = check_environment(environment)
        self._place = open_place(url)

    def write(self, run_id: str, task_ids: bytes, completed: Sequence[bool], answer: bytes) -> None:
        """Store what a chunk of simulations gave; nothing, if none of them completed.

        The same again changes nothing, and mends a segment that was damaged.

        Args:
            run_id: for which run they were simulated; a run's results can be removed together.
            task_ids: SHA-256 task ids, 32 raw bytes each.
            completed: for each task whether it completed; the others are never found.
            answer: what the worker returns for the chunk, as it is.

        Raises:
            ResultStoreError: if it can't be written: the disk is full, the store can't be reached.
            UsageError: if `run_id` isn't a run's name.
            ValueError: if `task_ids` doesn't have 32 bytes for each of `completed`.
        """
        check_dns_label(run_id, "run-id")
        segment = Segment(split_ids(task_ids), tuple(completed), answer)
        if not any(segment.completed):
            return
        head = encode_head(segment)
        key = SegmentKey(self._environment, run_id, head_digest(head))
        self._place.put(key, head, answer)
