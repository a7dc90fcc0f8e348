"""From a share in [0, 1) to a value, so that uniform shares are spread as a range says."""

import math


def real_at(share: float, low: float, high: float, *, log: bool) -> float:
    """Return the real number at `share` of [low, high], or of its logarithm."""
    if log:
        value = math.exp(math.log(low) * (1 - share) + math.log(high) * share)
    else:
        # Not low + share × (high - low), whose difference may be infinite.
        value = low * (1 - share) + high * share
    return min(max(value, low), high)


def whole_at(share: float, low: int, high: int, *, log: bool) -> int:
    """Return the whole number at `share` of low … high, which have equal shares.

    On a logarithmic scale it's the rounded one of a real number from `low - 1/2` to `high + 1/2`.
    """
    if log:
        return min(max(round(real_at(share, low - 0.5, high + 0.5, log=True)), low), high)
    return low + part_at(share, high - low + 1)


def part_at(share: float, parts: int) -> int:
    """Return in which of `parts` equal parts, from 0, `share` lies; exact however many."""
    numerator, denominator = share.as_integer_ratio()
    return min(parts * numerator // denominator, parts - 1)
