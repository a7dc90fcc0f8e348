"""Show the best fit of a finished run: parameters, R0, and a plot against the data.

mops adaptive results --output trials.parquet
python show_fit.py trials.parquet sir-fit.png
"""

import sys

import matplotlib as mpl
import numpy as np
import pyarrow.parquet as pq

mpl.use("Agg")
import matplotlib.pyplot as plt
from model import BOYS, simulate
from targets import OBSERVED

FRESH_REPLICATES = 20


def main(trials_file, picture):
    # One row for each replicate of each trial: what belongs to the trial is in all of them.
    trials = [row for row in pq.read_table(trials_file).to_pylist() if row["replicate"] == 0]
    best = min((t for t in trials if t["status"] == "completed"), key=lambda t: t["loss"])
    params = {name: best[f"param.{name}"] for name in ("beta", "gamma")}
    r0 = params["beta"] / params["gamma"]

    day, in_bed = np.loadtxt(OBSERVED, delimiter=",", skiprows=1, usecols=(0, 2), unpack=True)
    # Seeds that the calibration hasn't seen: the fit must hold for them too.
    seeds = np.random.SeedSequence(1978).generate_state(FRESH_REPLICATES, np.uint64)
    replicates = np.array([simulate(params, int(seed))["in_bed"] for seed in seeds])
    mean = replicates.mean(axis=0)
    squares = float(((mean - in_bed) ** 2).sum())

    print(f"trials            {len(trials)}")
    print(f"best trial        {best['trial']} (loss {best['loss']:.0f})")
    print(f"beta              {params['beta']:.3f} per day")
    print(
        f"gamma             {params['gamma']:.3f} per day ({1 / params['gamma']:.1f} days in bed)"
    )
    print(f"R0                {r0:.2f}")
    print(f"sum of squares    {squares:.0f} (mean of {FRESH_REPLICATES} fresh replicates)")

    low, high = np.quantile(replicates, [0.05, 0.95], axis=0)
    figure, axes = plt.subplots(figsize=(8, 5), layout="constrained")
    axes.fill_between(day, low, high, alpha=0.25, label="90% of the replicates")
    axes.plot(day, replicates.T, color="C0", alpha=0.25, linewidth=0.7)
    axes.plot(day, mean, linewidth=2, label=f"mean of {FRESH_REPLICATES} replicates")
    axes.plot(day, in_bed, "o", color="black", label="observed")
    axes.set(
        xlabel="days since 22 January 1978",
        ylabel=f"boys in bed, of {BOYS}",
        title=f"Influenza at a boarding school: stochastic SIR, R0 = {r0:.2f}",
    )
    axes.legend()
    figure.savefig(picture, dpi=120)
    print(f"picture           {picture}")


if __name__ == "__main__":
    main(*sys.argv[1:3])
