"""ABC-SMC: a posterior from simulations alone, by tolerances that become smaller.

The sampler of Toni, Welch, Strelkowa, Ipsen and Stumpf (2009), with tolerances that follow from the
last population (Del Moral, Doucet and Jasra 2012) and the kernels of Filippi et al. (2013). The
prior is the search space: uniform, log-uniform or equal shares, where the constraints hold. The
loss of a trial is its distance.

A generation takes the first N of its own trials, by number, that are near enough. Proposal j of
generation t is drawn from (seed, t, j) alone. So the populations depend neither on how many trials
run at once nor on which of them are quick: taking those that come back first would favour them
(see Klinger, Rickert and Hasenauer 2018).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from modelops.algorithms.abc_kernels import Kernel
from modelops.algorithms.abc_tolerance import (
    NO_TOLERANCE,
    effective_sample_size,
    ess_tolerance,
    next_tolerance,
    quantile_tolerance,
)
from modelops.algorithms.designs import MAX_REFUSED, no_point_allowed
from modelops.algorithms.trial_ledger import TrialLedger
from modelops.contracts import (
    CategoricalParameter,
    FixedParameter,
    Parameter,
    Particle,
    Population,
    Posterior,
    Scalar,
    SearchSpace,
    TrialResult,
    TrialStatus,
    UniqueParameterSet,
)

Array = npt.NDArray[np.float64]

_RULES: dict[str, Callable[[Array, Array, float], float]] = {
    "quantile": quantile_tolerance,
    "ess": ess_tolerance,
}
# What is expected of a generation before its first result: two trials, one of them accepted.
_EXPECTED_TRIALS, _EXPECTED_ACCEPTED = 2, 1


@dataclass
class _Proposal:
    """A trial of the generation, and what came of it."""

    trial: int
    point: Array
    params: dict[str, Scalar]
    told: bool = False
    distance: float | None = None


class AbcSmc:
    """An AdaptiveAlgorithm that has a posterior. It waits where a generation needs results."""

    def __init__(
        self,
        space: SearchSpace,
        *,
        seed: int,
        n_trials: int,
        population_size: int,
        tolerance: str,
        alpha: float,
        minimum_tolerance: float | None,
        max_generations: int | None,
        kernel: str,
    ) -> None:
        self._space = space
        self._seed = seed
        self._n_trials = n_trials
        self._size = population_size
        self._rule, self._alpha = _RULES[tolerance], alpha
        self._minimum_tolerance = -NO_TOLERANCE if minimum_tolerance is None else minimum_tolerance
        self._max_generations = max_generations
        self._kernel_kind = kernel
        # A parameter with one value only has nothing that could be perturbed.
        self._columns = [name for name in space.varied if _has_values(space.parameters[name])]
        self._choices = {
            i: len(item.choices)
            for i, name in enumerate(self._columns)
            if isinstance(item := space.parameters[name], CategoricalParameter)
        }
        self._ledger = TrialLedger()
        self._populations: list[Population] = []
        self._kernel: Kernel | None = None
        self._tolerance = NO_TOLERANCE
        self._complete = False
        self._open_generation()

    def ask(self, n: int) -> list[UniqueParameterSet]:
        """Return up to `n` proposals; fewer while results are needed to know what comes next."""
        asked: list[UniqueParameterSet] = []
        while len(asked) < n and not self.finished() and self._needs_trials():
            trial = self._ledger.asked
            point, params = self._propose(len(self._proposals))
            parameters = UniqueParameterSet.from_dict(params, trial=trial)
            self._ledger.add(parameters)
            self._by_trial[trial] = _Proposal(trial, point, params)
            self._proposals.append(self._by_trial[trial])
            asked.append(parameters)
        return asked

    def tell(self, results: Sequence[TrialResult]) -> None:
        """Take the distances; a failed trial is a draw that is rejected."""
        for trial, result in self._ledger.new_results(results):
            # A generation that is full needs no more of its trials.
            if (proposal := self._by_trial.get(trial)) is not None:
                proposal.told = True
                if result.status is TrialStatus.COMPLETED:
                    proposal.distance = float(result.loss)
        self._decide()

    def finished(self) -> bool:
        """Return whether all trials were asked or the last generation is full."""
        return self._complete or self._ledger.asked >= self._n_trials

    def posterior(self) -> Posterior:
        """Return the populations that are full."""
        return Posterior(tuple(self._populations))

    def _open_generation(self) -> None:
        self._proposals: list[_Proposal] = []
        self._by_trial: dict[int, _Proposal] = {}
        self._decided = 0
        self._accepted: list[_Proposal] = []

    def _needs_trials(self) -> bool:
        """Whether those under way will hardly fill the generation, by its rate so far."""
        rate = 1.0
        if self._kernel is not None:
            accepted = len(self._accepted) + _EXPECTED_ACCEPTED
            rate = accepted / (self._decided + _EXPECTED_TRIALS)
        under_way = len(self._proposals) - self._decided
        return len(self._accepted) + rate * under_way < self._size

    def _propose(self, index: int) -> tuple[Array, dict[str, Scalar]]:
        rng = np.random.default_rng([self._seed, len(self._populations), index])
        for _ in range(MAX_REFUSED):
            # Where the prior is 0 another particle is drawn too: else its weight would be wrong.
            if self._kernel is None:
                point = self._on_choices(rng.random(len(self._columns)))
            else:
                point = self._kernel.draw(rng)
            if np.all((point >= 0.0) & (point < 1.0)):
                params = self._params(point)
                if self._space.allows(params):
                    return point, params
        raise no_point_allowed(self._space)

    def _on_choices(self, point: Array) -> Array:
        for column, size in self._choices.items():
            point[column] = (int(point[column] * size) + 0.5) / size
        return point

    def _params(self, point: Array) -> dict[str, Scalar]:
        shares = dict(zip(self._columns, point.tolist(), strict=True))
        return self._space.at([shares.get(name, 0.0) for name in self._space.varied])

    def _decide(self) -> None:
        """Accept or reject in the order of trials, as far as all before were told."""
        while self._decided < len(self._proposals) and self._proposals[self._decided].told:
            proposal = self._proposals[self._decided]
            self._decided += 1
            if proposal.distance is not None and proposal.distance <= self._tolerance:
                self._accepted.append(proposal)
                if len(self._accepted) == self._size:
                    self._close_generation()
                    return

    def _close_generation(self) -> None:
        points = np.array([item.point for item in self._accepted])
        distances = np.array([item.distance for item in self._accepted], dtype=np.float64)
        weights = np.ones(self._size)
        if self._kernel is not None:
            # The prior's density is the same wherever it isn't 0.
            logs = -self._kernel.log_density(points)
            weights = np.exp(logs - logs.max())
        weights /= weights.sum()
        self._populations.append(self._population(distances, weights))
        proposed = self._rule(distances, weights, self._alpha)
        tolerance = next_tolerance(proposed, distances, self._tolerance, self._minimum_tolerance)
        if tolerance is None or len(self._populations) == self._max_generations:
            self._complete = True
            return
        self._kernel = Kernel(
            points,
            weights,
            distances <= tolerance,
            choices=self._choices,
            kind=self._kernel_kind,
        )
        self._tolerance = tolerance
        self._open_generation()

    def _population(self, distances: Array, weights: Array) -> Population:
        return Population(
            generation=len(self._populations),
            tolerance=None if self._kernel is None else self._tolerance,
            ess=effective_sample_size(weights),
            acceptance_rate=self._size / self._decided,
            particles=tuple(
                Particle(item.trial, item.params, float(weight), float(distance))
                for item, weight, distance in zip(self._accepted, weights, distances, strict=True)
            ),
        )


def _has_values(parameter: Parameter) -> bool:
    """Whether a parameter has more than one value."""
    match parameter:
        case CategoricalParameter(choices):
            return len(choices) > 1
        case FixedParameter():
            return False
        case _:
            return parameter.low < parameter.high
