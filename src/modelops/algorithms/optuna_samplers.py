"""Optuna's samplers: TPE, random, CMA-ES, QMC, NSGA-II and GP, by name and with their options."""

import importlib.util
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from modelops.algorithms.options import (
    Option,
    OptionError,
    OptionProblem,
    check_options,
    count,
    flag,
    one_of,
    positive,
    share,
)
from modelops.core.errors import AlgorithmError
from modelops.core.near_miss import did_you_mean

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

DEFAULT = "tpe"


@dataclass(frozen=True)
class Sampler:
    """A kind of sampler.

    Attributes:
        name: what it's called here.
        class_name: its class in Optuna.
        packages: what it needs installed.
        options: which options it takes.
        fixed: arguments that it's always made with.
        startup: how many trials are random at first, where `n_startup_trials` doesn't say.
        random_states: where the sampler has its random states, as dotted names; that, the trials
            and the study's attributes are all that it remembers. None: it remembers more.
        by_generations: whether it learns from whole generations of CMA-ES only.
    """

    name: str
    class_name: str
    packages: tuple[str, ...] = ()
    options: Mapping[str, Option] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)
    startup: int = 10
    random_states: tuple[str, ...] | None = None
    by_generations: bool = False

    def create(self, options: Mapping[str, Any], seed: int) -> "BaseSampler":
        """Make the sampler with options that were checked and a seed of 32 bits."""
        import optuna  # noqa: PLC0415 - it takes long, and a check of options needs none of it

        make = getattr(optuna.samplers, self.class_name)
        with warnings.catch_warnings():
            # Samplers that Optuna calls experimental, and options that it will drop, say so each
            # time; the user chose them by name.
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            warnings.simplefilter("ignore", FutureWarning)
            sampler: BaseSampler = make(seed=seed, **self.fixed, **options)
        return sampler

    def refuse_missing(self) -> None:
        """Check that what it needs is installed.

        Raises:
            AlgorithmError: if it isn't.
        """
        missing = [name for name in self.packages if not importlib.util.find_spec(name)]
        if missing:
            isnt = "isn't" if len(missing) == 1 else "aren't"
            raise AlgorithmError(
                f"Sampler {self.name} needs {' and '.join(missing)}, which {isnt} installed.",
                hint=f'Install it with: pip install "modelops[{self.name}]"',
            )


SAMPLERS = {
    "tpe": Sampler(
        "tpe",
        "TPESampler",
        options={
            "n_startup_trials": count(),
            "n_ei_candidates": count(1),
            "multivariate": flag(),
            "constant_liar": flag(),
        },
        random_states=("_rng", "_random_sampler._rng"),
    ),
    "random": Sampler("random", "RandomSampler", random_states=("_rng",)),
    "cmaes": Sampler(
        "cmaes",
        "CmaEsSampler",
        packages=("cmaes",),
        options={"n_startup_trials": count(1), "sigma0": positive(), "popsize": count(2)},
        fixed={"warn_independent_sampling": False},
        startup=1,
        random_states=("_cma_rng", "_independent_sampler._rng"),
        by_generations=True,
    ),
    "qmc": Sampler(
        "qmc",
        "QMCSampler",
        packages=("scipy",),
        options={"qmc_type": one_of("sobol", "halton"), "scramble": flag()},
        fixed={"warn_independent_sampling": False, "warn_asynchronous_seeding": False},
        random_states=("_independent_sampler._rng",),
    ),
    "nsgaii": Sampler(
        "nsgaii",
        "NSGAIISampler",
        options={
            "population_size": count(2),
            "mutation_prob": share(),
            "crossover_prob": share(),
            "swapping_prob": share(),
        },
        random_states=("_rng", "_random_sampler._rng"),
    ),
    "gp": Sampler(
        "gp",
        "GPSampler",
        packages=("torch", "scipy"),
        options={"n_startup_trials": count(), "deterministic_objective": flag()},
        fixed={"warn_independent_sampling": False},
    ),
}


def choose_sampler(options: Mapping[str, Any]) -> tuple[Sampler, dict[str, Any]]:
    """Return the kind that `sampler` of the options names, and the sampler's own options.

    Raises:
        OptionError: with all options that are unknown or out of range.
    """
    own = dict(options)
    name = own.pop("sampler", DEFAULT)
    if not isinstance(name, str) or name not in SAMPLERS:
        message = f"there is no sampler {name!r}; there are: {', '.join(SAMPLERS)}"
        suggestion = did_you_mean(name, SAMPLERS)
        problem = OptionProblem(("sampler",), message, suggestion, by_itself=True)
        raise OptionError.of("Algorithm optuna", {}, [problem])
    kind = SAMPLERS[name]
    check_options(own, {"sampler": one_of(*SAMPLERS), **kind.options}, f"Sampler {name}")
    return kind, own
