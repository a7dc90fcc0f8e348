"""Algorithms and objects of the published contracts, translated.

The package itself is tried if it's installed; a stand-in has as much of it as is used.
"""

from __future__ import annotations

import enum
import importlib
import json
import math
import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelops.contracts import (
    AdaptiveAlgorithm,
    AlgorithmSettings,
    BundleRef,
    ContractError,
    FloatParameter,
    SearchSpace,
    SimTask,
    TrialResult,
    TrialStatus,
    UniqueParameterSet,
    make_param_id,
)
from modelops.published_contracts import (
    AdaptedAlgorithm,
    published_parameters,
    published_result,
    published_task,
    read_parameters,
    read_result,
    read_task,
)
from modelops.testing.algorithms import AlgorithmContract

DIGEST = f"sha256:{'a' * 64}"


class ContractViolationError(Exception):
    pass


class Status(enum.Enum):
    COMPLETED = "completed"
    FAILED = "failed"
    TIMEOUT = "timeout"


@dataclass(frozen=True)
class Parameters:
    params: Mapping[str, Any]
    param_id: str


@dataclass(frozen=True)
class Result:
    param_id: str
    loss: float
    diagnostics: Mapping[str, Any] = field(default_factory=dict)
    status: Status = Status.COMPLETED

    def __post_init__(self) -> None:
        json.dumps(self.diagnostics)


@dataclass(frozen=True)
class Task:
    bundle_ref: str
    entrypoint: str
    params: Parameters
    seed: int
    outputs: Sequence[str] | None = None
    config: Mapping[str, Any] | None = None
    env: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if "." not in self.entrypoint:
            raise ContractViolationError("not a path inside a package")


@pytest.fixture(scope="module", autouse=True)
def published() -> Iterator[Any]:
    """The package, or the stand-in."""
    try:
        yield importlib.import_module("modelops_contracts")
    except ImportError:
        stand_in: Any = ModuleType("modelops_contracts")
        stand_in.ContractViolationError = ContractViolationError
        stand_in.UniqueParameterSet = Parameters
        stand_in.TrialResult = Result
        stand_in.TrialStatus = Status
        stand_in.SimTask = Task
        sys.modules["modelops_contracts"] = stand_in
        yield stand_in
        del sys.modules["modelops_contracts"]


class Walk:
    """An algorithm that knows the published package only: it walks on from the best point."""

    def __init__(self, package: Any, low: float, high: float, seed: int, trials: int) -> None:
        self.package = package
        self.chance = random.Random(seed)
        self.bounds = (low, high)
        self.left = trials
        self.asked: dict[str, float] = {}
        self.told: list[Any] = []

    def ask(self, n: int) -> list[Any]:
        made = []
        for _ in range(min(n, self.left)):
            x = self.chance.uniform(*self.bounds)
            params = {"x": x}
            made.append(
                self.package.UniqueParameterSet(params=params, param_id=make_param_id(params))
            )
            self.asked[made[-1].param_id] = x
        self.left -= len(made)
        return made

    def tell(self, results: list[Any]) -> None:
        for result in results:
            assert isinstance(result, self.package.TrialResult)
            x = self.asked[result.param_id]
            self.told.append(result)
            if result.status == self.package.TrialStatus.COMPLETED and result.loss < 1:
                low, high = self.bounds
                self.bounds = ((low + x) / 2, (high + x) / 2)

    def finished(self) -> bool:
        return self.left == 0


class TestAnAdaptedAlgorithm(AlgorithmContract):
    space = SearchSpace({"x": FloatParameter(-2.0, 2.0)})
    # The published contracts have none.
    constraints = ()

    def create(self, space: SearchSpace, settings: AlgorithmSettings) -> AdaptiveAlgorithm:
        if settings.options:
            raise ValueError(f"unknown: {', '.join(settings.options)}")
        bounds: Any = space.parameters["x"]
        package = importlib.import_module("modelops_contracts")
        walk = Walk(package, bounds.low, bounds.high, settings.seed, settings.n_trials)
        return AdaptedAlgorithm(walk)


def test_results_reach_it_in_order_and_once(published: Any) -> None:
    walk = Walk(published, 0.0, 1.0, seed=1, trials=3)
    adapted = AdaptedAlgorithm(walk)
    asked = adapted.ask(3)
    results = [
        TrialResult(item.param_id, float(index), {"parts": {"a": [1, 2]}}, trial=item.trial)
        for index, item in enumerate(asked)
    ]
    adapted.tell([results[2], results[0], results[2]])
    adapted.tell([results[0], results[1]])
    assert [(result.param_id, result.loss) for result in walk.told] == [
        (asked[index].param_id, float(index)) for index in (0, 2, 1)
    ]
    assert walk.told[0].diagnostics == {"parts": {"a": [1, 2]}}


def test_an_id_that_was_made_otherwise_comes_back(published: Any) -> None:
    class Named:
        def __init__(self) -> None:
            self.told: list[str] = []

        def ask(self, n: int) -> list[Any]:
            return [published.UniqueParameterSet(params={"x": -0.0}, param_id="mine")][:n]

        def tell(self, results: list[Any]) -> None:
            self.told += [result.param_id for result in results]

        def finished(self) -> bool:
            return False

    named = Named()
    adapted = AdaptedAlgorithm(named)
    (asked,) = adapted.ask(1)
    assert asked.param_id == make_param_id({"x": 0.0})
    adapted.tell([TrialResult(asked.param_id, 1.0, trial=0)])
    assert named.told == ["mine"]


def test_failures_reach_it(published: Any) -> None:
    walk = Walk(published, 0.0, 1.0, seed=1, trials=2)
    adapted = AdaptedAlgorithm(walk)
    for item, status in zip(adapted.ask(2), (TrialStatus.FAILED, TrialStatus.TIMEOUT), strict=True):
        adapted.tell([TrialResult(item.param_id, math.nan, status=status, trial=item.trial)])
    assert [result.status.value for result in walk.told] == ["failed", "timeout"]
    assert adapted.finished()


def test_without_the_package_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "modelops_contracts", None)
    with pytest.raises(ContractError, match="TrialResult of the package modelops-contracts"):
        AdaptedAlgorithm(Walk(None, 0, 1, 1, 1))


scalars = st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
params = st.dictionaries(st.text("abc", min_size=1), scalars | st.text("xy"), max_size=4)


@given(params, st.none() | st.integers(0, 9))
def test_parameters_go_there_and_back(values: dict[str, Any], trial: int | None) -> None:
    ours = UniqueParameterSet.from_dict(values, trial)
    theirs = published_parameters(ours)
    assert dict(theirs.params) == values
    assert theirs.param_id == ours.param_id
    assert read_parameters(theirs, trial) == ours


@given(
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(TrialStatus),
    st.dictionaries(st.text("ab"), st.integers() | st.lists(st.text("ab")), max_size=3),
)
def test_results_go_there_and_back(loss: float, status: TrialStatus, notes: dict[str, Any]) -> None:
    ours = TrialResult("id", loss, notes, status, trial=3)
    theirs = published_result(ours)
    assert (theirs.param_id, theirs.loss, theirs.status.value) == ("id", loss, status.value)
    assert theirs.diagnostics == notes
    assert read_result(theirs, trial=3) == ours


def test_a_status_that_isnt_known_is_refused(published: Any) -> None:
    class Odd:
        param_id, loss, diagnostics, status = "id", 1.0, {}, "pruned"

    with pytest.raises(ContractError, match="'pruned' isn't known; known are: completed, failed"):
        read_result(Odd())


def test_tasks_go_there_and_back() -> None:
    ours = SimTask(BundleRef("models/sir", DIGEST), "sir.model:simulate", {"a": 1.5}, 7, ("x",))
    theirs = published_task(ours)
    assert (theirs.bundle_ref, theirs.entrypoint) == (f"models/sir@{DIGEST}", "sir.model:simulate")
    assert (theirs.seed, theirs.outputs, dict(theirs.params.params)) == (7, ("x",), {"a": 1.5})
    assert read_task(theirs) == ours
    assert read_task(theirs).task_id == ours.task_id


def test_a_task_with_only_a_digest_needs_a_repository(published: Any) -> None:
    params = published_parameters(UniqueParameterSet.from_dict({"a": 1}))
    theirs = published.SimTask(
        bundle_ref=DIGEST, entrypoint="sir.model:simulate", params=params, seed=1
    )
    task = read_task(theirs, repository="models/sir")
    assert task.bundle_ref == BundleRef("models/sir", DIGEST)
    assert task.outputs == ()
    with pytest.raises(ContractError, match="needs a repository"):
        read_task(theirs)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"entrypoint": "sir.models.SIR/baseline"}, "names a scenario"),
        ({"config": {"steps": 3}}, "the task has 'config'"),
        ({"env": {"A": "b"}}, "the task has 'env'"),
    ],
)
def test_what_has_no_meaning_here_is_refused(
    published: Any, changes: dict[str, Any], message: str
) -> None:
    params = published_parameters(UniqueParameterSet.from_dict({"a": 1}))
    given = {"bundle_ref": f"r@{DIGEST}", "entrypoint": "sir.model:f", "params": params, "seed": 1}
    with pytest.raises(ContractError, match=message):
        read_task(published.SimTask(**{**given, **changes}))


def test_what_has_no_meaning_there_is_refused() -> None:
    task = SimTask(BundleRef("models/sir", DIGEST), "model:simulate", {"a": 1}, 7)
    with pytest.raises(ContractError, match="modelops_contracts refuses the task"):
        published_task(task)
