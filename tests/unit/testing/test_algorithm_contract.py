"""The shipped suite finds what it is for: each broken algorithm fails the test of its fault."""

import math
from collections.abc import Sequence
from typing import Any

import pytest

from modelops.algorithms.optuna_sampler import create
from modelops.contracts import (
    AdaptiveAlgorithm,
    AlgorithmSettings,
    SearchSpace,
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


def contract_of(kind: type[Faulty]) -> AlgorithmContract:
    class Contract(AlgorithmContract):
        options = {"sampler": "random"}  # noqa: RUF012 - as a third party would write it

        def create(self, space: SearchSpace, settings: AlgorithmSettings) -> AdaptiveAlgorithm:
            return kind(space, settings)

    return Contract()


def suite_of(contract: AlgorithmContract) -> list[str]:
    return [name for name in dir(contract) if name.startswith("test_")]


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
    ],
)
def test_each_fault_is_found(kind: type[Faulty], name: str) -> None:
    check: Any = getattr(contract_of(kind), name)
    with pytest.raises((AssertionError, pytest.fail.Exception, ValueError)):
        check()


def test_an_algorithm_without_a_fault_passes_all() -> None:
    contract = contract_of(Faulty)
    assert len(suite_of(contract)) >= 12
    for name in suite_of(contract):
        getattr(contract, name)()
