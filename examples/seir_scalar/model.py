"""A stochastic SEIR epidemic in a closed population, reported as three numbers."""

import numpy as np

POPULATION = 20_000
INITIALLY_INFECTIOUS = 10
LATENT_DAYS = 3.0
DAYS = 300
STEPS_PER_DAY = 4


def simulate(params, seed):
    """Return the epidemic's R0, peak day and attack rate, and its daily cases.

    params:
        beta: infections per infectious person and day while everybody is susceptible.
        infectious_days: how long a person is infectious, on average.

    Tables:
        metrics: a row for each number: `metric`, `value`. R0 is secondary cases per case at the
            start; peak_day the day with the most new cases; attack_rate the share of the
            population that was ever infected.
        daily: `day` and `cases`, the newly infectious.
    """
    cases, infected = epidemic(params["beta"], params["infectious_days"], seed)
    metrics = {
        "R0": params["beta"] * params["infectious_days"],
        "peak_day": float(np.argmax(cases)),
        "attack_rate": infected / POPULATION,
    }
    return {
        "metrics": {"metric": list(metrics), "value": list(metrics.values())},
        "daily": {"day": np.arange(DAYS), "cases": cases},
    }


def epidemic(beta, infectious_days, seed):
    """Return the new cases of each day, and how many were ever infected, by tau-leaping."""
    rng = np.random.default_rng(seed)
    step = 1 / STEPS_PER_DAY
    onset = 1 - np.exp(-step / LATENT_DAYS)
    recovery = 1 - np.exp(-step / infectious_days)
    exposed, infectious = 0, INITIALLY_INFECTIOUS
    susceptible = POPULATION - infectious
    cases = np.zeros(DAYS, dtype=np.int64)
    for index in range(DAYS * STEPS_PER_DAY):
        if exposed + infectious == 0:
            break
        infection = 1 - np.exp(-beta * infectious / POPULATION * step)
        newly_exposed = rng.binomial(susceptible, infection)
        newly_infectious = rng.binomial(exposed, onset)
        recovered = rng.binomial(infectious, recovery)
        susceptible -= newly_exposed
        exposed += newly_exposed - newly_infectious
        infectious += newly_infectious - recovered
        cases[index // STEPS_PER_DAY] += newly_infectious
    return cases, POPULATION - susceptible
