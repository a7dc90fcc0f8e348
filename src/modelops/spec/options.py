"""An algorithm's own options in a spec: what the algorithm itself says of them."""

from collections.abc import Collection, Iterator

from modelops.algorithms.options import OptionProblem
from modelops.contracts import AlgorithmSettings, ContractError, SearchSpace
from modelops.core.errors import AlgorithmError
from modelops.core.near_miss import near_miss
from modelops.spec.constraints import search_space
from modelops.spec.installed import CheckOptions, Installed
from modelops.spec.models import Algorithm, Entrypoint, Parameters, RuntimeSpec
from modelops.spec.problems import Finding, SpecPath

# Options are called much like the run's own parameters: n_startup_trials isn't n_trials.
_NEAR = 0.7


def option_findings(
    spec: RuntimeSpec, installed: Installed, known: Collection[SpecPath] = ()
) -> Iterator[Finding]:
    """Yield what is wrong with the options of the spec's algorithms.

    Args:
        spec: the spec.
        installed: the algorithms that there are, and how their options are checked.
        known: options that were found to be misspelt ones of the run's own parameters.
    """
    if installed.check_options is None:
        return
    for name, algorithm in spec.spec.algorithms.items():
        # Types that aren't there are found elsewhere.
        if algorithm.type in installed.algorithms:
            at = ("spec", "algorithms", name)
            yield from _findings(algorithm, at, installed.check_options, known)


def _findings(
    algorithm: Algorithm, at: SpecPath, check: CheckOptions, known: Collection[SpecPath]
) -> Iterator[Finding]:
    parameters = algorithm.parameters
    around = (*at, "parameters")
    misspelt = [path[-1] for path in known if path[:-1] == around]
    settings = AlgorithmSettings(
        seed=parameters.seed,
        n_trials=parameters.n_trials,
        n_parallel=parameters.n_parallel,
        options={key: item for key, item in parameters.options.items() if key not in misspelt},
    )
    space, is_sound = _space(algorithm.entrypoint)
    try:
        problems = check(algorithm.type, space, settings)
    except AlgorithmError as error:
        # A list of the plugins' problems, a line each.
        yield Finding((*at, "type"), " ".join(error.message.split()), error.hint)
        return
    relies_on = (around, (*at, "entrypoint", "space"), (*at, "entrypoint", "constraints"))
    for problem in problems:
        if problem.by_itself or (is_sound and not misspelt):
            yield Finding(
                (*around, *problem.path),
                problem.message,
                problem.suggestion or _run_parameter(problem),
                at_key=problem.at_key or not problem.path,
                relies_on=() if problem.by_itself else relies_on,
            )


def _run_parameter(problem: OptionProblem) -> str:
    """Return which parameter of the run was meant by an option that there isn't."""
    if not problem.at_key or len(problem.path) != 1:
        return ""
    near = near_miss(problem.path[0], Parameters.model_fields, cutoff=_NEAR)
    return f"Did you mean `{near}`?" if near else ""


def _space(entrypoint: Entrypoint) -> tuple[SearchSpace, bool]:
    """Return the space, and whether it's that of the spec: constraints may be wrong."""
    try:
        return search_space(entrypoint), bool(entrypoint.space)
    except ContractError:
        items = entrypoint.space.items()
        return SearchSpace({name: entry.parameter() for name, entry in items}), False
