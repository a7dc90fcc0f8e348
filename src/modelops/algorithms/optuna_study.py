"""Optuna's samplers by ask/tell.

Optuna keeps the study in memory; what outlives the process is the run's journal, and the snapshots
that a run may keep of the study.
"""

from collections.abc import Sequence

import optuna
from optuna.distributions import CategoricalDistribution
from optuna.samplers import BaseSampler
from optuna.trial import TrialState

from modelops.algorithms.designs import MAX_REFUSED, no_point_allowed
from modelops.algorithms.optuna_cmaes import awaits_results, default_popsize
from modelops.algorithms.optuna_samplers import Sampler
from modelops.algorithms.optuna_snapshot import StudyState, read_snapshot, write_snapshot
from modelops.algorithms.optuna_space import distributions, parameters_of, suggestion_of
from modelops.algorithms.trial_ledger import TrialLedger
from modelops.contracts import (
    AlgorithmSettings,
    Scalar,
    SearchSpace,
    SnapshotError,
    TrialResult,
    TrialStatus,
    UniqueParameterSet,
)

# How many suggestions the constraints may refuse before a random point is taken.
_MAX_SUGGESTIONS = 20


class OptunaAlgorithm:
    """An Optuna study of one objective, to be minimised, as an AdaptiveAlgorithm.

    A suggestion that the constraints refuse is told to the study as pruned, so that TPE learns
    where nothing is to be found, and another is asked for; after some of them a random point that
    they allow is taken. Without constraints the study is what bare Optuna's would be.

    CMA-ES isn't asked for trials that it would throw away: with as many under way as its generation
    lacks, the others wait for their results.
    """

    def __init__(
        self, space: SearchSpace, settings: AlgorithmSettings, kind: Sampler, sampler: BaseSampler
    ) -> None:
        # Optuna writes a line to stderr for each study and trial otherwise.
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._space = space
        self._settings = settings
        self._study = optuna.create_study(sampler=sampler, direction="minimize")
        self._distributions = distributions(space)
        self._startup: int = settings.options.get("n_startup_trials", kind.startup)
        numeric = sum(
            not (item.single() or isinstance(item, CategoricalDistribution))
            for item in self._distributions.values()
        )
        self._popsize: int = settings.options.get("popsize", default_popsize(numeric))
        self._by_generations = kind.by_generations
        self._ledger = TrialLedger()
        # The study's number of each of our trials; they differ if some were refused.
        self._numbers: list[int] = []
        self._completed = self._pruned = 0

    def ask(self, n: int) -> list[UniqueParameterSet]:
        """Return up to `n` parameter sets, until there were `n_trials` of them."""
        asked: list[UniqueParameterSet] = []
        for _ in range(min(n, self._settings.n_trials - self._ledger.asked)):
            if self._by_generations and self._awaits_results():
                break
            number, params = self._suggest()
            parameters = UniqueParameterSet.from_dict(params, trial=self._ledger.asked)
            self._ledger.add(parameters)
            self._numbers.append(number)
            asked.append(parameters)
        return asked

    def tell(self, results: Sequence[TrialResult]) -> None:
        """Tell the study the losses; failed trials and timeouts as failed, without a loss."""
        for trial, result in self._ledger.new_results(results):
            if result.status is TrialStatus.COMPLETED:
                self._completed += 1
                self._study.tell(self._numbers[trial], float(result.loss))
            else:
                self._study.tell(self._numbers[trial], state=TrialState.FAIL)

    def finished(self) -> bool:
        """Return whether all trials were asked."""
        return self._ledger.asked >= self._settings.n_trials

    def _awaits_results(self) -> bool:
        return awaits_results(self._study.get_trials(deepcopy=False), self._startup, self._popsize)

    def _suggest(self) -> tuple[int, dict[str, Scalar]]:
        for _ in range(_MAX_SUGGESTIONS):
            trial = self._study.ask(self._distributions)
            params = parameters_of(self._space, trial.params)
            if self._space.allows(params):
                return trial.number, params
            self._refuse(trial.number)
        params = self._allowed_point()
        self._study.enqueue_trial(suggestion_of(self._space, params))
        return self._study.ask(self._distributions).number, params

    def _refuse(self, number: int) -> None:
        # To TPE the best tenth of all trials are good ones, and pruned ones come after completed
        # ones: so there mustn't be more of them, nor may they end its random start. Failed ones
        # are ignored.
        if self._completed >= self._startup and self._pruned < self._completed:
            self._pruned += 1
            self._study.tell(number, state=TrialState.PRUNED)
        else:
            self._study.tell(number, state=TrialState.FAIL)

    def _allowed_point(self) -> dict[str, Scalar]:
        draws = self._space.draws((self._settings.seed << 32) + self._ledger.asked)
        for _ in range(MAX_REFUSED):
            if self._space.allows(params := next(draws)):
                return params
        raise no_point_allowed(self._space)


class ResumableOptunaAlgorithm(OptunaAlgorithm):
    """The same with a sampler whose state is known, so that it has snapshots."""

    def __init__(
        self, space: SearchSpace, settings: AlgorithmSettings, kind: Sampler, sampler: BaseSampler
    ) -> None:
        super().__init__(space, settings, kind, sampler)
        self._kind = kind

    def snapshot(self) -> bytes:
        """Return the state of the study and of the sampler as JSON."""
        state = StudyState.of(self._study, self._numbers, self._kind.random_states or ())
        return write_snapshot(state, self._space, self._settings, self._kind.packages)

    def restore(self, snapshot: bytes) -> None:
        """Take over the state that `snapshot` returned."""
        if self._ledger.asked:
            raise SnapshotError("trials were asked already; a snapshot is for a fresh algorithm")
        state = read_snapshot(snapshot, self._space, self._settings, self._kind.packages)
        asked = state.asked(self._space)
        state.put_into(self._study, self._distributions, self._kind.random_states or ())
        self._ledger.restore(asked, state.told())
        self._numbers = list(state.numbers)
        self._completed = state.count(TrialState.COMPLETE)
        self._pruned = state.count(TrialState.PRUNED)
