"""Ask/tell: the one handshake between a run and the method that steers it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol, runtime_checkable

from modelops.contracts.parameters import UniqueParameterSet
from modelops.contracts.space import SearchSpace
from modelops.contracts.trials import TrialResult


@runtime_checkable
class AdaptiveAlgorithm(Protocol):
    """A method that proposes parameters and learns from their losses (smaller is better).

    Guarantees that every implementation keeps:
    - The same construction and the same sequence of calls give the same parameters.
    - The same parameters always have the same `param_id`.
    - Trials are numbered 0, 1, 2, … in the order in which `ask` returns them.
    - `tell` is idempotent per trial: a trial told again changes nothing.
    - `tell` doesn't depend on the order within one call's list.
    """

    def ask(self, n: int) -> list[UniqueParameterSet]:
        """Return up to `n` parameter sets, each with the number of its trial.

        Fewer than `n`, or none, mean that more is known only after further results or that the
        algorithm has finished; an empty answer changes no state.
        """
        ...

    def tell(self, results: Sequence[TrialResult]) -> None:
        """Learn the results of trials, the failed ones included.

        Raises:
            ContractError: if a result's trial was never asked, or its `param_id` is another's.
        """
        ...

    def finished(self) -> bool:
        """Return whether `ask` will never again return anything."""
        ...


@dataclass(frozen=True)
class AlgorithmSettings:
    """What an algorithm is constructed from, beside the space.

    Attributes:
        seed: the run's seed, a uint64.
        n_trials: how many trials the run has at the most.
        n_parallel: how many trials may be asked before the first of them is told.
        options: keys of the spec's `parameters` that belong to the algorithm alone.
    """

    seed: int
    n_trials: int
    n_parallel: int
    options: Mapping[str, Any]

    def __post_init__(self) -> None:
        object.__setattr__(self, "options", MappingProxyType(dict(self.options)))


class AlgorithmFactory(Protocol):
    """What an entry point of the group `modelops.algorithms` names."""

    def __call__(self, space: SearchSpace, settings: AlgorithmSettings) -> AdaptiveAlgorithm:
        """Make the algorithm.

        Raises:
            ValueError: if an option is unknown or its value is out of range.
        """
        ...
