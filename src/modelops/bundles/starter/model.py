"""A stochastic SIR epidemic in a closed population. Replace it with your own model."""

from collections.abc import Mapping
from typing import Any

import numpy as np

POPULATION = 10_000
INITIALLY_INFECTED = 10
DAYS = 60


def simulate(params: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Return the new cases of each day, DAYS rows: the columns day and cases.

    params:
        beta: infections per infected person and day while everybody is susceptible.
        gamma: recoveries per infected person and day; 1/gamma is the mean infectious time in days.

    The same params and seed give the same result: all chance comes from the seed.
    """
    rng = np.random.default_rng(seed)
    susceptible, infected = POPULATION - INITIALLY_INFECTED, INITIALLY_INFECTED
    recovery = 1 - np.exp(-params["gamma"])
    cases = np.empty(DAYS, dtype=np.int64)
    for day in range(DAYS):
        infection = 1 - np.exp(-params["beta"] * infected / POPULATION)
        cases[day] = rng.binomial(susceptible, infection)
        recovered = rng.binomial(infected, recovery)
        susceptible -= cases[day]
        infected += cases[day] - recovered
    return {"day": np.arange(DAYS), "cases": cases}
