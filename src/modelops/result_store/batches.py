"""Many things in batches, as `itertools.batched` makes them from Python 3.12 on."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

_T = TypeVar("_T")


def batched(items: Iterable[_T], size: int) -> Iterator[list[_T]]:
    """Yield lists of `size` items; the last may have fewer."""
    left = iter(items)
    while batch := list(islice(left, size)):
        yield batch
