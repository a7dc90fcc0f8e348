"""What evaluating a trial costs: a target of 50 points, 5 replicates, read from Arrow's IPC form.

Bar: under 0.3 ms; the beta-binomial distribution, for each replicate, under 0.5 ms.
"""

import sys
from statistics import median

import numpy as np
import pyarrow as pa
from _figures import RUNS, figure, seconds

from modelops.calibration import (
    BetaBinomialNLL,
    EvaluationStrategy,
    InterpolationAlignment,
    NegativeBinomialNLL,
    SquaredError,
    Target,
    evaluate_targets,
)
from modelops.worker.outputs import from_ipc, to_ipc

POINTS, REPLICATES, TRIALS = 50, 5, 200
BAR, BAR_OF_BETA_BINOMIAL = 0.3, 0.5
DAYS = np.arange(POINTS)


def main() -> int:
    """Print a figure for each kind of target; return 1 if a bar falls."""
    each = BetaBinomialNLL(trials=100, concentration=20.0, simulated="count", on="likelihood")
    counts = NegativeBinomialNLL(dispersion=5.0)
    holds = [
        _measure("squared error", _target(SquaredError()), BAR),
        _measure("interpolated", _target(SquaredError(), InterpolationAlignment()), BAR),
        _measure("negative binomial", _target(counts), BAR),
        _measure("beta-binomial, each replicate", _target(each), BAR_OF_BETA_BINOMIAL),
    ]
    return 0 if all(holds) else 1


def _target(loss: EvaluationStrategy, alignment: InterpolationAlignment | None = None) -> Target:
    cases = np.random.default_rng(1).poisson(20, POINTS)
    data = {"day": DAYS, "cases": cases}
    options = {} if alignment is None else {"alignment": alignment}
    return Target(data, on="day", value="cases", loss=loss, **options)


def _measure(name: str, target: Target, bar: float) -> bool:
    rng = np.random.default_rng(2)
    tables = [
        to_ipc(pa.table({"day": DAYS, "cases": rng.poisson(20, POINTS), "other": DAYS / 3}))
        for _ in range(REPLICATES)
    ]

    def trials() -> None:
        for _ in range(TRIALS):
            evaluate_targets({"a": target}, [{"output": from_ipc(table)} for table in tables])

    trials()
    value = median(seconds(trials) for _ in range(RUNS)) / TRIALS * 1e3
    return figure(f"evaluation of a trial, {name}", value, "ms", bar=bar)


if __name__ == "__main__":
    sys.exit(main())
