"""The contract of adaptive algorithms, as tests.

from modelops.testing.algorithms import AlgorithmContract

class TestMyAlgorithm(AlgorithmContract):
    def create(self, space, settings):
        return my_package.create(space, settings)
"""
# ruff: noqa: S101 - these are tests; pytest explains a failing assert

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import pytest

from modelops.contracts import (
    AdaptiveAlgorithm,
    AlgorithmSettings,
    CategoricalParameter,
    Constraint,
    ContractError,
    FixedParameter,
    FloatParameter,
    HasPosterior,
    HasSnapshot,
    IntParameter,
    SearchSpace,
    SnapshotError,
    TrialResult,
    TrialStatus,
    UniqueParameterSet,
    make_param_id,
)

SPACE = SearchSpace(
    {
        "beta": FloatParameter(0.1, 2.0, log=True),
        "shift": FloatParameter(-1.0, 1.0),
        "contacts": IntParameter(1, 20),
        "scenario": CategoricalParameter(("a", "b", "c")),
        "n_agents": FixedParameter(1000),
    }
)
"""One parameter of each kind."""


class AlgorithmContract(ABC):
    """Checks the guarantees of `AdaptiveAlgorithm` by its behaviour alone.

    Attributes:
        space: the space to search; override it if yours takes only some kinds of parameters.
        constraints: between parameters of the space, each of which about half of it fulfils; none
            if the algorithm takes none.
        options: the algorithm's own options.
        n_trials: how many trials a run has; small enough to take no time.
    """

    space: ClassVar[SearchSpace] = SPACE
    constraints: ClassVar[tuple[str, ...]] = ("beta > shift", "contacts >= 8 or scenario != 'a'")
    options: ClassVar[Mapping[str, Any]] = {}
    n_trials: ClassVar[int] = 24

    @abstractmethod
    def create(self, space: SearchSpace, settings: AlgorithmSettings) -> AdaptiveAlgorithm:
        """Make the algorithm."""

    def test_is_an_adaptive_algorithm(self) -> None:
        """It has the three methods."""
        assert isinstance(self._fresh(), AdaptiveAlgorithm)

    def test_asks_within_the_space(self) -> None:
        """Every parameter of the space is there, of its kind and within its bounds."""
        for asked in _run(self._fresh(), n_parallel=1):
            assert list(asked.params) == list(self.space.parameters)
            for name, parameter in self.space.parameters.items():
                _check_value(parameter, asked.params[name])

    def test_param_ids_are_those_of_the_parameters(self) -> None:
        """`param_id` follows from the parameters."""
        for asked in _run(self._fresh(), n_parallel=2):
            assert asked.param_id == make_param_id(asked.params)

    def test_trials_are_numbered_from_0(self) -> None:
        """The numbers are 0, 1, 2, … in the order of asking, however many are asked at once."""
        numbers = [asked.trial for asked in _run(self._fresh(), n_parallel=3)]
        assert numbers == list(range(len(numbers)))

    def test_never_asks_more_than_it_was_asked_for(self) -> None:
        """`ask(n)` gives at most n."""
        assert len(self._fresh().ask(5)) <= 5
        assert self._fresh().ask(0) == []

    def test_ends(self) -> None:
        """At most `n_trials` are asked; finished means that nothing more comes."""
        algorithm = self._fresh()
        asked = _run(algorithm, n_parallel=4)
        assert 0 < len(asked) <= self.n_trials
        assert algorithm.finished()
        assert algorithm.ask(4) == []

    def test_same_calls_give_the_same_parameters(self) -> None:
        """It depends on its construction and the calls only."""
        assert _run(self._fresh(), n_parallel=3) == _run(self._fresh(), n_parallel=3)

    def test_telling_again_changes_nothing(self) -> None:
        """`tell` is idempotent per trial, even with another loss."""
        once = _run(self._fresh(), n_parallel=2)
        again = _run(self._fresh(), n_parallel=2, told_again=True)
        assert once == again

    def test_order_within_a_call_changes_nothing(self) -> None:
        """A batch may be told in any order."""
        forwards = _run_batches(self._fresh(), size=6, backwards=False)
        backwards = _run_batches(self._fresh(), size=6, backwards=True)
        assert forwards == backwards

    def test_learns_of_failed_trials(self) -> None:
        """Failures and timeouts are told like the others, and the run goes on."""
        algorithm = self._fresh()
        assert len(_run(algorithm, n_parallel=2, failing=3)) > 1
        assert algorithm.finished()

    def test_an_empty_ask_changes_nothing(self) -> None:
        """Asking in vain, or for nothing, leaves the sequence as it is."""
        assert _run(self._fresh(), n_parallel=2) == _run(self._fresh(), n_parallel=2, idle_asks=2)

    def test_refuses_a_trial_that_was_never_asked(self) -> None:
        """A result of nowhere is an error."""
        algorithm = self._fresh()
        (asked,) = algorithm.ask(1)
        with pytest.raises(ContractError):
            algorithm.tell([TrialResult(asked.param_id, 1.0, trial=self.n_trials + 1)])

    def test_refuses_the_param_id_of_another(self) -> None:
        """A result must belong to the parameters that were asked."""
        algorithm = self._fresh()
        algorithm.ask(1)
        with pytest.raises(ContractError):
            algorithm.tell([TrialResult("0" * 64, 1.0, trial=0)])

    def test_refuses_an_unknown_option(self) -> None:
        """The message names the option."""
        options = {**self.options, "no_such_option": 1}
        with pytest.raises(ValueError, match="no_such_option"):
            self.create(self.space, self._settings(options))

    def test_keeps_to_constraints(self) -> None:
        """All parameters that are asked fulfil them, the same ones each time."""
        if not self.constraints:
            pytest.skip("it takes no constraints")
        space = SearchSpace(self.space.parameters, tuple(map(Constraint, self.constraints)))
        first, again = (
            _run(self.create(space, self._settings(self.options)), n_parallel=3, failing=5)
            for _ in range(2)
        )
        assert first == again
        assert first
        assert all(space.allows(asked.params) for asked in first)
        assert [asked.trial for asked in first] == list(range(len(first)))

    @pytest.mark.parametrize("constrained", [False, True])
    def test_goes_on_from_a_snapshot_of_any_moment(self, constrained: bool) -> None:
        """What has restored a snapshot asks for the same from then on, and knows the same."""
        if constrained and not self.constraints:
            pytest.skip("it takes no constraints")
        constraints = tuple(map(Constraint, self.constraints)) if constrained else ()
        space = SearchSpace(self.space.parameters, constraints)
        fresh = [self.create(space, self._settings(self.options)) for _ in range(2)]
        calls = list(_calls(fresh[0], n_parallel=3, failing=5))
        original = fresh[1]
        for done in range(len(calls) + 1):
            if not isinstance(original, HasSnapshot):
                pytest.skip("it has no snapshots")
            snapshot = original.snapshot()
            restored = self.create(space, self._settings(self.options))
            assert isinstance(restored, HasSnapshot)
            restored.restore(snapshot)
            assert restored.snapshot() == snapshot
            if isinstance(original, HasPosterior) and isinstance(restored, HasPosterior):
                assert restored.posterior() == original.posterior()
            for call in calls[done:]:
                assert _repeats(call, restored)
            assert restored.finished() == fresh[0].finished()
            if done < len(calls):
                # That snapshots were made changes nothing.
                assert _repeats(calls[done], original)

    def test_refuses_a_snapshot_that_is_not_its_own(self) -> None:
        """It's an error of its own, after which the calls can be replayed."""
        other, algorithm = self._fresh(seed=5), self._fresh()
        if not isinstance(other, HasSnapshot) or not isinstance(algorithm, HasSnapshot):
            pytest.skip("it has no snapshots")
        other.ask(3)
        own = self._fresh()
        assert isinstance(own, HasSnapshot)
        own.ask(3)
        snapshot = own.snapshot()
        middle = len(snapshot) // 2
        changed = snapshot[:middle] + bytes([snapshot[middle] ^ 1]) + snapshot[middle + 1 :]
        for wrong in (other.snapshot(), snapshot[:-1], changed, b"", b"[]", b"\x80\x04]"):
            with pytest.raises(SnapshotError):
                algorithm.restore(wrong)
        assert _run(algorithm, n_parallel=3) == _run(self._fresh(), n_parallel=3)
        with pytest.raises(SnapshotError):
            own.restore(snapshot)

    def test_looking_at_the_posterior_changes_nothing(self) -> None:
        """The posterior follows from the calls, and its weights add up to 1."""
        algorithm = self._fresh()
        if not isinstance(algorithm, HasPosterior):
            pytest.skip("it has no posterior")
        asked = []
        for call in _calls(algorithm, n_parallel=3):
            assert algorithm.posterior() == algorithm.posterior()
            asked += call if isinstance(call, list) else []
        assert asked == _run(self._fresh(), n_parallel=3)
        for population in algorithm.posterior().populations:
            assert math.isclose(math.fsum(item.weight for item in population.particles), 1.0)
            for particle in population.particles:
                assert asked[particle.trial].params == particle.params

    def _fresh(self, seed: int = 2**63 + 11) -> AdaptiveAlgorithm:
        return self.create(self.space, self._settings(self.options, seed))

    def _settings(self, options: Mapping[str, Any], seed: int = 2**63 + 11) -> AlgorithmSettings:
        return AlgorithmSettings(seed=seed, n_trials=self.n_trials, n_parallel=4, options=options)


def _run(
    algorithm: AdaptiveAlgorithm,
    *,
    n_parallel: int,
    told_again: bool = False,
    failing: int = 0,
    idle_asks: int = 0,
) -> list[UniqueParameterSet]:
    """Run with a window of `n_parallel`; every `failing`-th trial fails or times out."""
    asked: list[UniqueParameterSet] = []
    told = 0
    while True:
        fresh = [] if len(asked) - told >= n_parallel else algorithm.ask(1)
        asked += fresh
        if fresh:
            continue
        if told == len(asked):
            return asked
        for _ in range(idle_asks):
            algorithm.ask(0)
        algorithm.tell([_result(asked[told], failing)])
        if told_again:
            algorithm.tell([TrialResult(asked[told].param_id, 123.0, trial=told)])
        told += 1


_Call = list[UniqueParameterSet] | TrialResult
"""What an ask for one trial returned, or what was told."""


def _calls(algorithm: AdaptiveAlgorithm, *, n_parallel: int, failing: int = 0) -> Iterator[_Call]:
    """Run with a window of `n_parallel` and yield each call once it's made."""
    asked: list[UniqueParameterSet] = []
    told = 0
    while True:
        if len(asked) - told < n_parallel:
            fresh = algorithm.ask(1)
            asked += fresh
            yield fresh
            if fresh:
                continue
        if told == len(asked):
            return
        result = _result(asked[told], failing)
        algorithm.tell([result])
        told += 1
        yield result


def _repeats(call: _Call, algorithm: AdaptiveAlgorithm) -> bool:
    """Make the call again; return whether its answer is the same."""
    if isinstance(call, list):
        return algorithm.ask(1) == call
    algorithm.tell([call])
    return True


def _run_batches(
    algorithm: AdaptiveAlgorithm, *, size: int, backwards: bool
) -> list[UniqueParameterSet]:
    asked: list[UniqueParameterSet] = []
    while batch := algorithm.ask(size):
        asked += batch
        results = [_result(item, failing=4) for item in batch]
        algorithm.tell(results[::-1] if backwards else results)
    return asked


def _result(asked: UniqueParameterSet, failing: int) -> TrialResult:
    assert asked.trial is not None
    if failing and asked.trial % failing == 1:
        status = TrialStatus.TIMEOUT if asked.trial % 2 else TrialStatus.FAILED
        return TrialResult(asked.param_id, math.nan, status=status, trial=asked.trial)
    # Any smooth loss will do: the sum of the numbers among the parameters, squared.
    values = [value for value in asked.params.values() if isinstance(value, (int, float))]
    return TrialResult(asked.param_id, math.fsum(values) ** 2, trial=asked.trial)


def _check_value(parameter: object, value: object) -> None:
    match parameter:
        case FloatParameter(low, high):
            assert type(value) is float
            assert low <= value <= high
        case IntParameter(low, high):
            assert type(value) is int
            assert low <= value <= high
        case CategoricalParameter(choices):
            assert (type(value), value) in [(type(choice), choice) for choice in choices]
        case FixedParameter(fixed):
            assert (type(value), value) == (type(fixed), fixed)
