"""What the model is fitted to: boys in bed during the 1978 influenza at a boarding school."""

from pathlib import Path

import numpy as np

from modelops.calibration import SquaredError, Target, target

OBSERVED = Path(__file__).parent / "data" / "boarding_school.csv"


@target
def prevalence():
    """Boys in bed on each day; the sum of squares between the data and the replicates' mean."""
    day, in_bed = np.loadtxt(OBSERVED, delimiter=",", skiprows=1, usecols=(0, 2), unpack=True)
    data = {"day": day.astype(int), "in_bed": in_bed}
    return Target(data, on="day", value="in_bed", loss=SquaredError(on="mean"))
