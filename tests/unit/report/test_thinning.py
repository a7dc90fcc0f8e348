"""Which of many are drawn."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from modelops.report.thinning import evenly, thinned


@given(st.integers(0, 300), st.integers(2, 100), st.floats(0, 0.9), st.randoms())
def test_the_best_are_among_those_that_are_drawn(total, most, share, chance) -> None:  # type: ignore[no-untyped-def]
    items = [[number] for number in range(total)]
    best = chance.sample(items, total)
    drawn = thinned(items, best, most, share)
    assert len(drawn.items) == min(total, most)
    assert list(drawn.items) == [item for item in items if item in drawn.items]
    for item in best[: int(most * share)] if total > most else best:
        assert item in drawn.items
    assert bool(drawn.words) == (total > most)


@given(st.integers(0, 500), st.integers(1, 100))
def test_evenly_spaced_ones_have_like_gaps(total: int, most: int) -> None:
    found = evenly(range(total), most)
    assert len(found) == min(total, most)
    if len(found) > 1:
        assert (found[0], found[-1]) == (0, total - 1)
        gaps = {after - before for before, after in itertools.pairwise(found)}
        assert max(gaps) - min(gaps) <= 1
        assert min(gaps) >= 1
