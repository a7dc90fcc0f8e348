"""Algorithms: snapshots at 3,000 trials, and how soon known optima are found with 16 at once.

Snapshots: each sampler runs 3,000 trials of seven parameters; replaying them is the baseline of
restoring. Bars: a snapshot takes 0.5 s at the most, restoring one 2 s.

Optima: trials until the loss is within a tolerance of the known optimum, the mean of 41 seeds,
beside bare Optuna in batches of 16. Bar: 1.3 times. A batch waits for all of the one before, so
each of its trials knows of seven or eight more results; CMA-ES asks for no trial that comes too
late for its generation. Beside it, without a bar, bare Optuna with 16 trials under way at any time,
as with `n_jobs=16`.
"""

import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import optuna
from _figures import figure, seconds

from modelops.algorithms.discovery import create_algorithm
from modelops.algorithms.optuna_samplers import SAMPLERS
from modelops.contracts import (
    AdaptiveAlgorithm,
    AlgorithmSettings,
    CategoricalParameter,
    FloatParameter,
    HasSnapshot,
    IntParameter,
    SearchSpace,
    TrialResult,
    UniqueParameterSet,
)

N_PARALLEL = 16
SNAPSHOT_TRIALS = 3_000
SEEDS = range(1, 42)
MOST_TRIALS = 1_000

Loss = Callable[[Mapping[str, Any]], float]

MIXED = SearchSpace(
    {
        **{f"x{index}": FloatParameter(-5.0, 10.0) for index in range(4)},
        "rate": FloatParameter(0.01, 10.0, log=True),
        "count": IntParameter(1, 50),
        "kind": CategoricalParameter(("a", "b", "c")),
    }
)


@dataclass(frozen=True)
class Function:
    """A function with a known optimum, and how near to it is near enough."""

    name: str
    sampler: str
    bounds: tuple[tuple[float, float], ...]
    loss: Callable[..., float]
    optimum: float
    tolerance: float


def sphere(*x: float) -> float:
    return sum(value**2 for value in x)


def rosenbrock(x: float, y: float) -> float:
    return (1 - x) ** 2 + 100 * (y - x**2) ** 2


def branin(x: float, y: float) -> float:
    # Dixon and Szegö (1978).
    bow = y - 5.1 / (4 * math.pi**2) * x**2 + 5 / math.pi * x - 6
    return bow**2 + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10


FUNCTIONS = (
    Function("sphere, TPE", "tpe", ((-5.0, 5.0),) * 3, sphere, 0.0, 0.3),
    Function("Branin, TPE", "tpe", ((-5.0, 10.0), (0.0, 15.0)), branin, 0.397887, 0.05),
    Function("Rosenbrock, TPE", "tpe", ((-2.0, 2.0),) * 2, rosenbrock, 0.0, 0.1),
    Function("sphere, CMA-ES", "cmaes", ((-5.0, 5.0),) * 5, sphere, 0.0, 1e-3),
    Function("Rosenbrock, CMA-ES", "cmaes", ((-2.0, 2.0),) * 2, rosenbrock, 0.0, 1e-3),
)


def main() -> int:
    """Print the figures as JSON objects; return 1 if a bar falls."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    holds = [held for sampler in SAMPLERS if sampler != "gp" for held in snapshots(sampler)]
    for function in FUNCTIONS:
        ours = fmean(trials_needed(function, seed) for seed in SEEDS)
        batches = fmean(bare_trials_needed(function, seed, batches=True) for seed in SEEDS)
        at_once = fmean(bare_trials_needed(function, seed, batches=False) for seed in SEEDS)
        holds.append(figure(function.name, ours, "trials", baseline=batches, bar=1.3))
        figure(f"{function.name}, beside 16 at once", ours, "trials", baseline=at_once)
    return 0 if all(holds) else 1


def snapshots(sampler: str) -> list[bool]:
    original, restored = (
        create(MIXED, sampler, seed=1, n_trials=2 * SNAPSHOT_TRIALS) for _ in range(2)
    )
    if not (isinstance(original, HasSnapshot) and isinstance(restored, HasSnapshot)):
        raise TypeError(f"{sampler} has no snapshots")
    replaying = seconds(lambda: run(original, mixed_loss, SNAPSHOT_TRIALS))
    made: list[bytes] = []
    making = seconds(lambda: made.append(original.snapshot()))
    restoring = seconds(lambda: restored.restore(made[0]))
    asking = seconds(lambda: restored.ask(1))
    return [
        figure(f"{sampler}: replay {SNAPSHOT_TRIALS:,} trials", replaying, "s"),
        figure(f"{sampler}: snapshot", making, "s", bar=0.5),
        figure(f"{sampler}: restore", restoring, "s", bar=2.0),
        figure(f"{sampler}: first ask after it", asking, "s"),
        figure(f"{sampler}: size of the snapshot", len(made[0]) / 1e6, "MB"),
    ]


def mixed_loss(params: Mapping[str, Any]) -> float:
    distance = sum((params[f"x{index}"] - 1) ** 2 for index in range(4))
    return distance + abs(math.log(params["rate"])) + params["count"] / 50 + (params["kind"] != "b")


def create(space: SearchSpace, sampler: str, *, seed: int, n_trials: int) -> AdaptiveAlgorithm:
    settings = AlgorithmSettings(seed, n_trials, N_PARALLEL, {"sampler": sampler})
    return create_algorithm("optuna", space, settings)


def run(
    algorithm: AdaptiveAlgorithm, loss: Loss, most: int, enough: float = -math.inf
) -> int | None:
    """Run in a window as the runner does; return the number of trials until a loss is enough."""
    asked: list[UniqueParameterSet] = []
    for told in range(most):
        while len(asked) - told < N_PARALLEL and (fresh := algorithm.ask(1)):
            asked += fresh
        found = loss(asked[told].params)
        if found <= enough:
            return told + 1
        algorithm.tell([TrialResult(asked[told].param_id, found, trial=told)])
    return None


def trials_needed(function: Function, seed: int) -> int:
    space = SearchSpace(
        {f"x{index}": FloatParameter(*bounds) for index, bounds in enumerate(function.bounds)}
    )
    algorithm = create(space, function.sampler, seed=seed, n_trials=MOST_TRIALS)
    enough = function.optimum + function.tolerance
    found = run(algorithm, lambda params: function.loss(*params.values()), MOST_TRIALS, enough)
    return found or MOST_TRIALS


def bare_trials_needed(function: Function, seed: int, *, batches: bool) -> int:
    study = optuna.create_study(sampler=SAMPLERS[function.sampler].create({}, seed))
    distributions: dict[str, Any] = {
        f"x{index}": optuna.distributions.FloatDistribution(*bounds)
        for index, bounds in enumerate(function.bounds)
    }
    trials: list[optuna.Trial] = []
    for told in range(MOST_TRIALS):
        if len(trials) == told or not batches:
            trials += [study.ask(distributions) for _ in range(N_PARALLEL - len(trials) + told)]
        found = function.loss(*trials[told].params.values())
        if found <= function.optimum + function.tolerance:
            return told + 1
        study.tell(trials[told], found)
    return MOST_TRIALS


if __name__ == "__main__":
    sys.exit(main())
