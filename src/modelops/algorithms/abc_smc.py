"""The factory of the algorithm `abc-smc`, which `abc_sampler.py` is."""

from modelops.algorithms.options import (
    OptionError,
    OptionProblem,
    check_options,
    checked_by,
    count,
    fraction,
    number,
    one_of,
)
from modelops.contracts import AdaptiveAlgorithm, AlgorithmSettings, SearchSpace

_WHERE = "Algorithm abc-smc"
_OPTIONS = {
    "population_size": count(2),
    "tolerance": one_of("quantile", "ess"),
    "alpha": fraction(),
    "minimum_tolerance": number(),
    "max_generations": count(1),
    "kernel": one_of("multivariate", "local", "componentwise"),
}
_MOST_PARTICLES, _LEAST_GENERATIONS = 100, 5


def check(space: SearchSpace, settings: AlgorithmSettings) -> None:
    """Check the options; see `create`.

    Raises:
        OptionError: with all that is wrong.
    """
    check_options(settings.options, _OPTIONS, _WHERE)
    if (size := _population_size(settings)) > settings.n_trials:
        message = f"population_size is {size:,}, and n_trials is {settings.n_trials:,}"
        suggestion = "Set n_trials to some ten times the population_size."
        problem = OptionProblem(("population_size",), message, suggestion)
        raise OptionError.of(_WHERE, {}, [problem])


@checked_by(check)
def create(space: SearchSpace, settings: AlgorithmSettings) -> AdaptiveAlgorithm:
    """Make the algorithm `abc-smc`.

    Options: `population_size` (default 100, or a fifth of n_trials if that is less), `tolerance`
    (`quantile` or `ess`, by which the next tolerance is chosen; default quantile) and `alpha`
    (which quantile, or which share of the effective sample size; default 0.5),
    `minimum_tolerance` (default none), `max_generations` (default none), `kernel` (multivariate,
    local or componentwise; default multivariate).

    Raises:
        AlgorithmError: if an option is unknown or out of range; then it's a ValueError too.
    """
    from modelops.algorithms.abc_sampler import AbcSmc  # noqa: PLC0415 - NumPy takes long

    options = settings.options
    return AbcSmc(
        space,
        seed=settings.seed,
        n_trials=settings.n_trials,
        population_size=_population_size(settings),
        tolerance=options.get("tolerance", "quantile"),
        alpha=options.get("alpha", 0.5),
        minimum_tolerance=options.get("minimum_tolerance"),
        max_generations=options.get("max_generations"),
        kernel=options.get("kernel", "multivariate"),
    )


def _population_size(settings: AlgorithmSettings) -> int:
    default = max(2, min(_MOST_PARTICLES, settings.n_trials // _LEAST_GENERATIONS))
    size: int = settings.options.get("population_size", default)
    return size
