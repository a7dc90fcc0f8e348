"""Ask/tell: the one handshake between a run and the method that steers it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol, runtime_checkable

from modelops.contracts.parameters import UniqueParameterSet
from modelops.contracts.posterior import Posterior
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


@runtime_checkable
class HasPosterior(Protocol):
    """An algorithm that infers a distribution of parameters, beside its trials."""

    def posterior(self) -> Posterior:
        """Return what is known so far; it depends on the calls of ask and tell alone.

        Calling it changes nothing. Before the first population is full there is none.
        """
        ...


@runtime_checkable
class HasSnapshot(Protocol):
    """An algorithm whose state can be kept, so that a run needn't replay all calls to go on.

    Guarantees: a fresh algorithm of the same space and settings that has restored a snapshot
    behaves as the one that made it did from then on. A snapshot is JSON in UTF-8; reading one runs
    none of its code, whoever wrote it.
    """

    def snapshot(self) -> bytes:
        """Return the state, which depends on the calls of ask and tell alone; nothing changes.

        Raises:
            SnapshotError: if this state can't be told.
        """
        ...

    def restore(self, snapshot: bytes) -> None:
        """Take over the state that `snapshot` returned. Nothing was asked or told before.

        Raises:
            SnapshotError: if it's of other versions of the libraries or of another space or other
                settings, damaged, or this algorithm isn't fresh. Nothing has changed then: the
                calls can be replayed into this algorithm.
        """
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


@runtime_checkable
class ChecksOptions(Protocol):
    """A factory that can say what is wrong with options without making the algorithm.

    It's for algorithms whose libraries take long to import: every command that reads a spec checks
    the options in it. A factory without it makes the algorithm then, and it is thrown away.
    """

    def check(self, space: SearchSpace, settings: AlgorithmSettings) -> None:
        """Check the options; nothing that a run needs must be there, such as a library.

        Raises:
            ValueError: if an option is unknown or its value is out of range.
        """
        ...
