"""Where the time of a run's simulations went, added up."""

import math
from collections import Counter
from dataclasses import dataclass, fields

from modelops.contracts import SimTiming

_STEPS = 20
"""Steps of the scale for each power of ten: a percentile is at most a tenth too high."""
_LEAST = 1e-6


@dataclass(frozen=True)
class PartSummary:
    """One part of the time of all simulations, in seconds.

    Attributes:
        total: of all.
        mean: of one.
        p50, p95: what half, and what 19 of 20, didn't take longer than; at most a tenth too high.
        longest: of one.
    """

    total: float
    mean: float
    p50: float
    p95: float
    longest: float


class Profile:
    """Adds timings up, in memory that doesn't grow with them."""

    def __init__(self) -> None:
        self.count = 0
        self._parts = {item.name: _Part() for item in fields(SimTiming)}

    def add(self, timing: SimTiming) -> None:
        """Add the timing of a simulation."""
        self.count += 1
        for name, part in self._parts.items():
            part.add(getattr(timing, name))

    def summary(self) -> dict[str, PartSummary]:
        """Return what is known of each part: waiting, starting, running, returning."""
        return {name: part.summary() for name, part in self._parts.items()}


class _Part:
    def __init__(self) -> None:
        self._total = self._longest = 0.0
        self._steps: Counter[int] = Counter()

    def add(self, seconds: float) -> None:
        self._total += seconds
        self._longest = max(self._longest, seconds)
        self._steps[math.ceil(_STEPS * math.log10(max(seconds, _LEAST)))] += 1

    def summary(self) -> PartSummary:
        mean = self._total / max(1, self._steps.total())
        p50, p95 = self._percentile(0.5), self._percentile(0.95)
        return PartSummary(self._total, mean, p50, p95, self._longest)

    def _percentile(self, share: float) -> float:
        wanted, seen = share * self._steps.total(), 0
        for step in sorted(self._steps):
            seen += self._steps[step]
            if seen >= wanted:
                return float(min(10 ** (step / _STEPS), self._longest))
        return 0.0
