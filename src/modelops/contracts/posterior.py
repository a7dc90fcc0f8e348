"""What a method of Bayesian inference leaves: weighted particles, generation by generation."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Self

from modelops.contracts.canonical import JSONValue, Scalar
from modelops.contracts.errors import ContractError


@dataclass(frozen=True)
class Particle:
    """A trial that belongs to a population.

    Attributes:
        trial: its number.
        params: its parameters.
        weight: its weight in the population, above 0.
        distance: its loss.
    """

    trial: int
    params: Mapping[str, Scalar]
    weight: float
    distance: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "params", MappingProxyType(dict(self.params)))


@dataclass(frozen=True)
class Population:
    """The particles of one generation, in the order of their trials; their weights add up to 1.

    Attributes:
        generation: its number, from 0.
        tolerance: the largest distance that was accepted, or None if any was.
        ess: the effective sample size, 1 / Σ weight².
        acceptance_rate: which share of the generation's trials was accepted, until it was full.
        particles: what was accepted.
    """

    generation: int
    tolerance: float | None
    ess: float
    acceptance_rate: float
    particles: tuple[Particle, ...]


@dataclass(frozen=True)
class Posterior:
    """The populations so far, each nearer to the posterior than the one before; the last counts."""

    populations: tuple[Population, ...] = ()

    def to_json(self) -> JSONValue:
        """Return it as JSON: a list of populations, the particles of each as columns.

        `trials`, `weights` and `distances` are lists of equal length, and so is each list of
        `params`, a mapping from names.
        """
        return [
            {
                "generation": population.generation,
                "tolerance": population.tolerance,
                "ess": population.ess,
                "acceptance_rate": population.acceptance_rate,
                "trials": [particle.trial for particle in population.particles],
                "weights": [particle.weight for particle in population.particles],
                "distances": [particle.distance for particle in population.particles],
                "params": {
                    name: [particle.params[name] for particle in population.particles]
                    for name in (population.particles[0].params if population.particles else ())
                },
            }
            for population in self.populations
        ]

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Read what `to_json` wrote.

        Raises:
            ContractError: if it's of another form.
        """
        try:
            return cls(tuple(_population(item) for item in value))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ContractError(f"this isn't a posterior: {error!r}") from error


def _population(item: Mapping[str, Any]) -> Population:
    names = list(item["params"])
    values = zip(*item["params"].values(), strict=True) if names else ((),) * len(item["trials"])
    return Population(
        item["generation"],
        item["tolerance"],
        item["ess"],
        item["acceptance_rate"],
        tuple(
            Particle(trial, dict(zip(names, params, strict=True)), weight, distance)
            for trial, params, weight, distance in zip(
                item["trials"], values, item["weights"], item["distances"], strict=True
            )
        ),
    )
