"""The shipped suite finds what it is for: each broken algorithm fails the test of its fault."""

import inspect
import math
from collections.abc import Sequence
from typing import Any

import pytest

from modelops.algorithms import abc_smc
from modelops.algorithms.optuna_sampler import create
from modelops.contracts import (
    AdaptiveAlgorithm,
    AlgorithmSettings,
    HasSnapshot,
    Posterior,
    SearchSpace,
    SnapshotError,
    TrialResult,
    UniqueParameterSet,
)
from modelops.testing.algorithms import AlgorithmContract


class Faulty:
    """Optuna behind a fault; each subclass has one."""

    def __init__(self, space: SearchSpace, settings: AlgorithmSettings) -> None:
        self.inner = create(space, settings)
        self.told: list[TrialResult] = []

    def ask(self, n: int) -> list[UniqueParameterSet]:
        return self.inner.ask(n)

    def tell(self, results: Sequence[TrialResult]) -> None:
        self.inner.tell(results)

    def finished(self) -> bool:
        return self.inner.finished()


class NumbersFromOne(Faulty):
    def ask(self, n: int) -> list[UniqueParameterSet]:
        return [
            UniqueParameterSet.from_dict(item.params, trial=(item.trial or 0) + 1)
            for item in self.inner.ask(n)
        ]


class LeavesTheSpace(Faulty):
    def ask(self, n: int) -> list[UniqueParameterSet]:
        return [
            UniqueParameterSet.from_dict({**item.params, "beta": 3.0}, trial=item.trial)
            for item in self.inner.ask(n)
        ]


class GivesIntegersForFloats(Faulty):
    def ask(self, n: int) -> list[UniqueParameterSet]:
        return [
            UniqueParameterSet.from_dict({**item.params, "beta": 1}, trial=item.trial)
            for item in self.inner.ask(n)
        ]


class Overfull(Faulty):
    def ask(self, n: int) -> list[UniqueParameterSet]:
        return self.inner.ask(n + 1)


class TakesUnknownTrials(Faulty):
    def tell(self, results: Sequence[TrialResult]) -> None:
        self.told += results


class Drifts(Faulty):
    """What it asks depends on how often and in which order it was told."""

    def ask(self, n: int) -> list[UniqueParameterSet]:
        weights = [(i + 1) * result.loss for i, result in enumerate(self.told)]
        drift = math.fsum(weight for weight in weights if math.isfinite(weight)) % 1.0
        return [
            UniqueParameterSet.from_dict({**item.params, "shift": drift}, trial=item.trial)
            for item in self.inner.ask(n)
        ]

    def tell(self, results: Sequence[TrialResult]) -> None:
        self.told += results
        self.inner.tell(results)


class NeverFinishes(Faulty):
    def finished(self) -> bool:
        return False


class ForgetsConstraints(Faulty):
    def __init__(self, space: SearchSpace, settings: AlgorithmSettings) -> None:
        super().__init__(SearchSpace(space.parameters), settings)


class Resumable(Faulty):
    """Without a fault; its snapshots are Optuna's."""

    inner: Any

    def snapshot(self) -> bytes:
        snapshot: bytes = self.inner.snapshot()
        return snapshot

    def restore(self, snapshot: bytes) -> None:
        self.inner.restore(snapshot)


class ForgetsItsState(Resumable):
    def restore(self, snapshot: bytes) -> None:
        other = create(self.inner._space, self.inner._settings)
        assert isinstance(other, HasSnapshot)
        other.restore(snapshot)


class MovesWhenItIsLookedAt(Resumable):
    def snapshot(self) -> bytes:
        self.inner.ask(1)
        return super().snapshot()


class TakesAnySnapshot(Resumable):
    def restore(self, snapshot: bytes) -> None:
        try:
            self.inner.restore(snapshot)
        except SnapshotError:
            return


class Crashes(Resumable):
    """On a snapshot of which the JSON isn't whole, with another error."""

    def restore(self, snapshot: bytes) -> None:
        try:
            self.inner.restore(snapshot)
        except SnapshotError as error:
            raise RuntimeError from error


class LearnsByLooking(Faulty):
    """Its posterior is another each time."""

    def __init__(self, space: SearchSpace, settings: AlgorithmSettings) -> None:
        super().__init__(space, settings)
        self.looks = 0
        self.method = abc_smc.create(
            space, AlgorithmSettings(1, 24, 4, {"population_size": 2 + self.looks})
        )

    def posterior(self) -> Posterior:
        self.looks += 1
        population = self.method.posterior().populations  # type: ignore[attr-defined]
        return Posterior(population * self.looks)

    def ask(self, n: int) -> list[UniqueParameterSet]:
        return self.method.ask(n)

    def tell(self, results: Sequence[TrialResult]) -> None:
        self.method.tell(results)


def contract_of(kind: type[Faulty]) -> AlgorithmContract:
    class Contract(AlgorithmContract):
        options = {"sampler": "random"}  # noqa: RUF012 - as a third party would write it

        def create(self, space: SearchSpace, settings: AlgorithmSettings) -> AdaptiveAlgorithm:
            return kind(space, settings)

    return Contract()


def suite_of(contract: AlgorithmContract) -> list[str]:
    return [name for name in dir(contract) if name.startswith("test_")]


def run_check(contract: AlgorithmContract, name: str) -> None:
    """Run a test of the suite with everything that it's parametrized with."""
    check: Any = getattr(contract, name)
    arguments = [(False,), (True,)] if inspect.signature(check).parameters else [()]
    for given in arguments:
        check(*given)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (NumbersFromOne, "test_trials_are_numbered_from_0"),
        (LeavesTheSpace, "test_asks_within_the_space"),
        (GivesIntegersForFloats, "test_asks_within_the_space"),
        (Overfull, "test_never_asks_more_than_it_was_asked_for"),
        (TakesUnknownTrials, "test_refuses_a_trial_that_was_never_asked"),
        (TakesUnknownTrials, "test_refuses_the_param_id_of_another"),
        (Drifts, "test_telling_again_changes_nothing"),
        (Drifts, "test_order_within_a_call_changes_nothing"),
        (NeverFinishes, "test_ends"),
        (ForgetsConstraints, "test_keeps_to_constraints"),
        (ForgetsItsState, "test_goes_on_from_a_snapshot_of_any_moment"),
        (MovesWhenItIsLookedAt, "test_goes_on_from_a_snapshot_of_any_moment"),
        (TakesAnySnapshot, "test_refuses_a_snapshot_that_is_not_its_own"),
        (Crashes, "test_refuses_a_snapshot_that_is_not_its_own"),
        (LearnsByLooking, "test_looking_at_the_posterior_changes_nothing"),
    ],
)
def test_each_fault_is_found(kind: type[Faulty], name: str) -> None:
    with pytest.raises((AssertionError, pytest.fail.Exception, ValueError, RuntimeError)):
        run_check(contract_of(kind), name)


@pytest.mark.parametrize(("kind", "skipped"), [(Faulty, 3), (Resumable, 1)])
def test_an_algorithm_without_a_fault_passes_all(kind: type[Faulty], skipped: int) -> None:
    contract = contract_of(kind)
    assert len(suite_of(contract)) >= 17
    for name in suite_of(contract):
        try:
            run_check(contract, name)
        except pytest.skip.Exception:
            skipped -= 1
    assert skipped == 0
