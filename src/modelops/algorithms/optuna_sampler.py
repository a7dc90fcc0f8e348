"""The factory of the algorithm `optuna`: Optuna's samplers by ask/tell."""

import hashlib

from modelops.algorithms.options import checked_by
from modelops.algorithms.optuna_samplers import choose_sampler
from modelops.contracts import AdaptiveAlgorithm, AlgorithmSettings, SearchSpace

_MAX_OPTUNA_SEED = 2**32 - 1


def check(space: SearchSpace, settings: AlgorithmSettings) -> None:
    """Check the options; see `create`.

    Raises:
        OptionError: with all that is wrong.
    """
    choose_sampler(settings.options)


@checked_by(check)
def create(space: SearchSpace, settings: AlgorithmSettings) -> AdaptiveAlgorithm:
    """Make the algorithm `optuna`.

    Options: `sampler` (tpe, random, cmaes, qmc, nsgaii or gp; default tpe) and the chosen
    sampler's own, by Optuna's names.

    Raises:
        AlgorithmError: if an option is unknown or out of range (then it's a ValueError too), or a
            package that the sampler needs isn't installed.
    """
    from modelops.algorithms.optuna_study import (  # noqa: PLC0415 - Optuna takes long
        OptunaAlgorithm,
        ResumableOptunaAlgorithm,
    )

    kind, options = choose_sampler(settings.options)
    kind.refuse_missing()
    sampler = kind.create(options, optuna_seed(settings.seed))
    if kind.random_states is None:
        return OptunaAlgorithm(space, settings, kind, sampler)
    return ResumableOptunaAlgorithm(space, settings, kind, sampler)


def optuna_seed(seed: int) -> int:
    """Return the seed for Optuna, which takes 32 bits: `seed` itself if it fits, else its hash.

    The hash is the first four bytes, big-endian, of SHA-256 over `modelops:optuna-seed:v1|{seed}`.
    """
    if seed <= _MAX_OPTUNA_SEED:
        return seed
    digest = hashlib.sha256(f"modelops:optuna-seed:v1|{seed}".encode()).digest()
    return int.from_bytes(digest[:4], "big")
