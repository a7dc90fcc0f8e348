"""A stochastic SIR epidemic in a closed population, by tau-leaping."""

import numpy as np

BOYS = 763
INITIALLY_IN_BED = 3
DAYS = 14
STEPS_PER_DAY = 10


def simulate(params, seed):
    """Return how many boys are in bed at noon on each of the 14 days.

    params:
        beta: infections per infected boy and day while everybody is susceptible.
        gamma: recoveries per infected boy and day; the mean stay in bed is 1/gamma days.
    """
    rng = np.random.default_rng(seed)
    susceptible, infected = BOYS - INITIALLY_IN_BED, INITIALLY_IN_BED
    step = 1 / STEPS_PER_DAY
    recovery = 1 - np.exp(-params["gamma"] * step)
    in_bed = np.empty(DAYS, dtype=np.int64)
    for day in range(DAYS):
        in_bed[day] = infected
        for _ in range(STEPS_PER_DAY):
            infection = 1 - np.exp(-params["beta"] * infected / BOYS * step)
            new_cases = rng.binomial(susceptible, infection)
            recovered = rng.binomial(infected, recovery)
            susceptible -= new_cases
            infected += new_cases - recovered
    return {"day": np.arange(DAYS), "in_bed": in_bed}
