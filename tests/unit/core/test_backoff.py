"""The delays before what died is started again."""

from modelops.core.backoff import FIRST_DELAY, MAX_DELAY, STEADY_SECONDS, Backoff


def test_delays_grow_up_to_a_limit() -> None:
    backoff = Backoff()
    delays = [backoff.after(1) for _ in range(12)]
    assert delays[:3] == [FIRST_DELAY, 2 * FIRST_DELAY, 4 * FIRST_DELAY]
    assert delays == sorted(delays)
    assert delays[-1] == MAX_DELAY


def test_what_lived_long_is_started_again_at_once() -> None:
    backoff = Backoff()
    backoff.after(1)
    assert backoff.after(STEADY_SECONDS) == 0
    assert backoff.after(1) == FIRST_DELAY
