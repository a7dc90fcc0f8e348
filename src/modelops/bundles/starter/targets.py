"""What the model is fitted to. Replace data/cases.csv with your own observations."""

from pathlib import Path

import numpy as np

from modelops.calibration import Target, target

OBSERVED = Path(__file__).parent / "data" / "cases.csv"


@target
def daily_cases() -> Target:
    """New cases on each day; the squared error between the data and the replicates' mean."""
    day, cases = np.loadtxt(OBSERVED, delimiter=",", skiprows=1, dtype=int, unpack=True)
    return Target(data={"day": day, "cases": cases}, on="day", value="cases")
