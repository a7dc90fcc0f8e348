import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelops.contracts import SimTiming
from modelops.services.profile import Profile


@given(st.lists(st.floats(1e-6, 1e4), min_size=1, max_size=50))
def test_parts_are_added_up(seconds):
    profile = Profile()
    for each in seconds:
        profile.add(SimTiming(each, 0.0, 2 * each, 0.0))

    summary = profile.summary()

    assert profile.count == len(seconds)
    waiting = summary["waiting"]
    assert waiting.total == pytest.approx(sum(seconds))
    assert waiting.mean == pytest.approx(sum(seconds) / len(seconds))
    assert waiting.longest == max(seconds)
    ordered = sorted(seconds)
    for found, share in ((waiting.p50, 0.5), (waiting.p95, 0.95)):
        true = ordered[max(0, -(-int(share * 100) * len(seconds) // 100) - 1)]
        assert true * 0.999 <= found <= true * 1.13
    assert summary["running"].total == pytest.approx(2 * sum(seconds))
    assert summary["starting"].total == 0


def test_of_nothing_there_is_nothing_to_tell():
    assert Profile().summary()["running"].p95 == 0.0
