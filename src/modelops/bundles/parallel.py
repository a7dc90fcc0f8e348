"""Doing the same with several blobs at once."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TypeVar

THREADS = 8
"""So many blobs are on their way at once, which fills a network that one doesn't."""

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def in_parallel(
    work: Callable[[_Item], _Result], items: Iterable[_Item], threads: int = THREADS
) -> Iterator[tuple[int, _Result]]:
    """Yield what `work` makes of each item, after the item's index, as soon as it's there.

    The first error ends it: what is under way is waited for, what isn't begun never is.
    """
    waiting = list(items)
    if len(waiting) == 1:
        yield 0, work(waiting[0])
        return
    with ThreadPoolExecutor(threads) as pool:
        try:
            under_way = {pool.submit(work, item): index for index, item in enumerate(waiting)}
            for done in as_completed(under_way):
                yield under_way[done], done.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
