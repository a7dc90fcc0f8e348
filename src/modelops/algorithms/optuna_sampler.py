"""Optuna's samplers by ask/tell: TPE, random, CMA-ES, QMC, NSGA-II and GP.

Optuna keeps the study in memory; what outlives the process is the run's journal.
"""

import hashlib
import importlib.util
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler

from modelops.algorithms.options import (
    Option,
    OptionError,
    check_options,
    count,
    flag,
    one_of,
    positive,
    share,
)
from modelops.algorithms.trial_ledger import TrialLedger
from modelops.contracts import (
    CategoricalParameter,
    FixedParameter,
    FloatParameter,
    IntParameter,
    Parameter,
    Scalar,
    SearchSpace,
    TrialResult,
    TrialStatus,
    UniqueParameterSet,
)
from modelops.contracts.algorithm import AdaptiveAlgorithm, AlgorithmSettings
from modelops.core.errors import AlgorithmError
from modelops.core.near_miss import did_you_mean


@dataclass(frozen=True)
class _Sampler:
    """A sampler's class in Optuna, what it needs installed, and which options it takes."""

    class_name: str
    packages: tuple[str, ...] = ()
    options: Mapping[str, Option] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)


_SAMPLERS = {
    "tpe": _Sampler(
        "TPESampler",
        options={
            "n_startup_trials": count(),
            "n_ei_candidates": count(1),
            "multivariate": flag(),
            "constant_liar": flag(),
        },
    ),
    "random": _Sampler("RandomSampler"),
    "cmaes": _Sampler(
        "CmaEsSampler",
        packages=("cmaes",),
        options={"n_startup_trials": count(1), "sigma0": positive(), "popsize": count(2)},
        fixed={"warn_independent_sampling": False},
    ),
    "qmc": _Sampler(
        "QMCSampler",
        packages=("scipy",),
        options={"qmc_type": one_of("sobol", "halton"), "scramble": flag()},
        fixed={"warn_independent_sampling": False, "warn_asynchronous_seeding": False},
    ),
    "nsgaii": _Sampler(
        "NSGAIISampler",
        options={
            "population_size": count(2),
            "mutation_prob": share(),
            "crossover_prob": share(),
            "swapping_prob": share(),
        },
    ),
    "gp": _Sampler(
        "GPSampler",
        packages=("torch", "scipy"),
        options={"n_startup_trials": count(), "deterministic_objective": flag()},
        fixed={"warn_independent_sampling": False},
    ),
}
_MAX_OPTUNA_SEED = 2**32 - 1


def create(space: SearchSpace, settings: AlgorithmSettings) -> AdaptiveAlgorithm:
    """Make the algorithm `optuna`.

    Options: `sampler` (tpe, random, cmaes, qmc, nsgaii or gp; default tpe) and the chosen
    sampler's own, by Optuna's names.

    Raises:
        AlgorithmError: if an option is unknown or out of range (then it's a ValueError too), or a
            package that the sampler needs isn't installed.
    """
    options = dict(settings.options)
    name = options.pop("sampler", "tpe")
    if not isinstance(name, str) or name not in _SAMPLERS:
        raise OptionError(
            f"There is no sampler {name!r}; there are: {', '.join(_SAMPLERS)}.",
            hint=did_you_mean(name, _SAMPLERS),
        )
    kind = _SAMPLERS[name]
    check_options(options, {"sampler": one_of(*_SAMPLERS), **kind.options}, f"Sampler {name}")
    missing = [package for package in kind.packages if not importlib.util.find_spec(package)]
    if missing:
        raise AlgorithmError(
            f"Sampler {name} needs {' and '.join(missing)}, which isn't installed.",
            hint=f'Install it with: pip install "modelops[{name}]"',
        )
    return OptunaAlgorithm(space, _sampler(kind, options, settings.seed), settings.n_trials)


class OptunaAlgorithm:
    """An Optuna study of one objective, to be minimised, as an AdaptiveAlgorithm."""

    def __init__(self, space: SearchSpace, sampler: BaseSampler, n_trials: int) -> None:
        # Optuna writes a line to stderr for each study and trial otherwise.
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._space = space
        self._study = optuna.create_study(sampler=sampler, direction="minimize")
        self._distributions = {
            name: distribution
            for name, parameter in space.parameters.items()
            if (distribution := _distribution(parameter)) is not None
        }
        self._n_trials = n_trials
        self._ledger = TrialLedger()

    def ask(self, n: int) -> list[UniqueParameterSet]:
        """Return up to `n` parameter sets, until there were `n_trials` of them."""
        asked = []
        for _ in range(min(n, self._n_trials - self._ledger.asked)):
            suggested = self._study.ask(self._distributions).params
            params = {
                name: _value(parameter, suggested.get(name))
                for name, parameter in self._space.parameters.items()
            }
            parameters = UniqueParameterSet.from_dict(params, trial=self._ledger.asked)
            self._ledger.add(parameters)
            asked.append(parameters)
        return asked

    def tell(self, results: Sequence[TrialResult]) -> None:
        """Tell the study the losses; failed trials and timeouts as failed, without a loss."""
        for trial, result in self._ledger.new_results(results):
            if result.status is TrialStatus.COMPLETED:
                self._study.tell(trial, float(result.loss))
            else:
                self._study.tell(trial, state=optuna.trial.TrialState.FAIL)

    def finished(self) -> bool:
        """Return whether all trials were asked."""
        return self._ledger.asked >= self._n_trials


def optuna_seed(seed: int) -> int:
    """Return the seed for Optuna, which takes 32 bits: `seed` itself if it fits, else its hash.

    The hash is the first four bytes, big-endian, of SHA-256 over `modelops:optuna-seed:v1|{seed}`.
    """
    if seed <= _MAX_OPTUNA_SEED:
        return seed
    digest = hashlib.sha256(f"modelops:optuna-seed:v1|{seed}".encode()).digest()
    return int.from_bytes(digest[:4], "big")


def _sampler(kind: _Sampler, options: Mapping[str, Any], seed: int) -> BaseSampler:
    make = getattr(optuna.samplers, kind.class_name)
    with warnings.catch_warnings():
        # Samplers that Optuna calls experimental say so each time; the user chose one by name.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler: BaseSampler = make(seed=optuna_seed(seed), **kind.fixed, **options)
    return sampler


def _distribution(parameter: Parameter) -> BaseDistribution | None:
    match parameter:
        case FloatParameter(low, high, log):
            return FloatDistribution(low, high, log=log)
        case IntParameter(low, high, log):
            return IntDistribution(low, high, log=log)
        case CategoricalParameter(choices):
            # Optuna takes 1, 1.0 and True for one choice, so it chooses a position.
            return CategoricalDistribution(range(len(choices)))
        case FixedParameter():
            return None


def _value(parameter: Parameter, suggested: Any) -> Scalar:
    match parameter:
        case FloatParameter():
            return float(suggested)
        case IntParameter():
            return int(suggested)
        case CategoricalParameter(choices):
            return choices[int(suggested)]
        case FixedParameter(value):
            return value
