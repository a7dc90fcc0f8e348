"""Which of many points are drawn: a file with all of them would be slow to open."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

_T = TypeVar("_T")


@dataclass(frozen=True)
class Drawn(Generic[_T]):
    """What is drawn of something, in its order, and of how many."""

    items: tuple[_T, ...]
    total: int
    best: int

    @property
    def words(self) -> str:
        """How it was chosen, for people; empty if all are drawn."""
        if len(self.items) == self.total:
            return ""
        others = len(self.items) - self.best
        return (
            f"{len(self.items):,} of {self.total:,} trials are drawn: the {self.best:,} best, and "
            f"{others:,} of the others, evenly spaced."
        )


def thinned(items: Sequence[_T], best: Sequence[_T], most: int, share: float = 0.1) -> Drawn[_T]:
    """Return at most `most` of the items: a share of that the best, the rest evenly spaced.

    Args:
        items: in the order in which they are drawn.
        best: the same, the best first.
        most: at least 2.
        share: of `most`, below 1.
    """
    if len(items) <= most:
        return Drawn(tuple(items), len(items), len(items))
    kept = {id(item) for item in best[: int(most * share)]}
    others = [item for item in items if id(item) not in kept]
    chosen = {id(item) for item in evenly(others, most - len(kept))}
    drawn = tuple(item for item in items if id(item) in kept or id(item) in chosen)
    return Drawn(drawn, len(items), len(kept))


def evenly(items: Sequence[_T], most: int) -> list[_T]:
    """Return at most `most` of the items, evenly spaced, with the first and the last of them."""
    if len(items) <= most:
        return list(items)
    if most < 2:
        return list(items[:most])
    step = (len(items) - 1) / (most - 1)
    return [items[round(number * step)] for number in range(most)]
