"""Sobol's sequence (Sobol' 1967), scrambled after Owen (1998) and Matoušek (1998), by SciPy.

The points of any power of two as a number of trials are balanced; with another number nothing is
wrong, but what is averaged over them converges a little more slowly.
"""

import itertools

from modelops.algorithms.designs import Design, allowed, generator, points_in_blocks, qmc_module
from modelops.algorithms.options import OptionError, check_options, checked_by, flag
from modelops.contracts import AdaptiveAlgorithm, AlgorithmSettings, SearchSpace

_BLOCK = 64


def check(space: SearchSpace, settings: AlgorithmSettings) -> None:
    """Check the options; see `create`."""
    check_options(settings.options, {"scramble": flag()}, "Algorithm sobol")


@checked_by(check)
def create(space: SearchSpace, settings: AlgorithmSettings) -> AdaptiveAlgorithm:
    """Make the algorithm `sobol`: trial i is point i of the sequence that the seed scrambles.

    With constraints, trial i is the i-th point that they allow. Option: `scramble` (default true).

    Raises:
        AlgorithmError: if an option is wrong (then it's a ValueError too), SciPy isn't installed,
            or the constraints allow hardly any point.
    """
    size = len(space.varied)
    if not size:
        return Design(allowed(space, itertools.repeat(())), settings.n_trials)
    sobol = qmc_module("sobol").Sobol
    if size > sobol.MAXDIM:
        raise OptionError(
            f"Algorithm sobol varies at most {sobol.MAXDIM:,} parameters; the space has {size:,}."
        )
    engine = sobol(
        size,
        scramble=settings.options.get("scramble", True),
        seed=generator(settings.seed),
    )
    return Design(allowed(space, points_in_blocks(engine, _BLOCK)), settings.n_trials)
