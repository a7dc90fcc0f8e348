"""Halton's sequence (Halton 1960), scrambled after Owen (2017), by SciPy."""

import itertools

from modelops.algorithms.designs import Design, allowed, generator, points_in_blocks, qmc_module
from modelops.algorithms.options import check_options, checked_by, flag
from modelops.contracts import AdaptiveAlgorithm, AlgorithmSettings, SearchSpace

_BLOCK = 64


def check(space: SearchSpace, settings: AlgorithmSettings) -> None:
    """Check the options; see `create`."""
    check_options(settings.options, {"scramble": flag()}, "Algorithm halton")


@checked_by(check)
def create(space: SearchSpace, settings: AlgorithmSettings) -> AdaptiveAlgorithm:
    """Make the algorithm `halton`: trial i is point i of the sequence that the seed scrambles.

    With constraints, trial i is the i-th point that they allow. Option: `scramble` (default true).

    Raises:
        AlgorithmError: if an option is wrong (then it's a ValueError too), SciPy isn't installed,
            or the constraints allow hardly any point.
    """
    if not space.varied:
        return Design(allowed(space, itertools.repeat(())), settings.n_trials)
    engine = qmc_module("halton").Halton(
        len(space.varied),
        scramble=settings.options.get("scramble", True),
        seed=generator(settings.seed),
    )
    return Design(allowed(space, points_in_blocks(engine, _BLOCK)), settings.n_trials)
