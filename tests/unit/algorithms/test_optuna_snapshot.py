"""Snapshots of Optuna's studies: what is in them, and what is refused."""

import importlib.metadata
import json
import math
import pickle
import random
from hashlib import sha256
from typing import Any

import pytest

from modelops.algorithms.optuna_sampler import create
from modelops.algorithms.optuna_study import ResumableOptunaAlgorithm
from modelops.contracts import (
    AlgorithmSettings,
    Constraint,
    HasSnapshot,
    SearchSpace,
    SnapshotError,
    TrialResult,
    TrialStatus,
    UniqueParameterSet,
)
from modelops.testing.algorithms import SPACE

CONSTRAINED = SearchSpace(SPACE.parameters, (Constraint("beta > shift + 0.5"),))
SMALL: dict[str, dict[str, Any]] = {
    "tpe": {"n_startup_trials": 4},
    "random": {},
    "cmaes": {"popsize": 4},
    "qmc": {},
    "nsgaii": {"population_size": 5},
}


def make(
    sampler: str, *, space: SearchSpace = SPACE, n_trials: int = 60, seed: int = 4, **options: Any
) -> ResumableOptunaAlgorithm:
    settings = AlgorithmSettings(
        seed=seed,
        n_trials=n_trials,
        n_parallel=8,
        options={"sampler": sampler, **SMALL[sampler], **options},
    )
    algorithm = create(space, settings)
    assert isinstance(algorithm, ResumableOptunaAlgorithm)
    return algorithm


def result(asked: UniqueParameterSet) -> TrialResult:
    if int(asked.param_id[0], 16) < 2:
        return TrialResult(asked.param_id, math.nan, status=TrialStatus.FAILED, trial=asked.trial)
    loss = float(asked.params["shift"]) ** 2 + math.log(float(asked.params["beta"])) ** 2
    return TrialResult(asked.param_id, loss, trial=asked.trial)


def parts(snapshot: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    header, body = snapshot.split(b"\n")
    return json.loads(header), json.loads(body)


def sealed(header: dict[str, Any], body: dict[str, Any]) -> bytes:
    """Return a snapshot as a forger would write it, with a hash that fits."""
    text = json.dumps(body).encode()
    return json.dumps({**header, "sha256": sha256(text).hexdigest()}).encode() + b"\n" + text


def half_way(sampler: str, **options: Any) -> ResumableOptunaAlgorithm:
    algorithm = make(sampler, **options)
    told = 0
    while told < 30:
        asked = algorithm.ask(min(5, 30 - told))
        algorithm.tell([result(item) for item in asked])
        told += len(asked)
    algorithm.ask(3)
    return algorithm


@pytest.mark.parametrize("space", [SPACE, CONSTRAINED], ids=["free", "constrained"])
@pytest.mark.parametrize("sampler", SMALL)
@pytest.mark.parametrize("seed", [1, 2])
def test_it_goes_on_in_the_same_way_when_results_come_in_any_order(
    sampler: str, space: SearchSpace, seed: int
) -> None:
    chance = random.Random(seed)
    algorithms = [make(sampler, space=space)]
    waiting: list[UniqueParameterSet] = []
    while waiting or not algorithms[0].finished():
        asked = [algorithm.ask(1 if len(waiting) < 8 else 0) for algorithm in algorithms]
        assert all(item == asked[0] for item in asked)
        waiting += asked[0]
        # Some wait for results before they ask for more.
        if not asked[0]:
            told = result(waiting.pop(chance.randrange(len(waiting))))
            for algorithm in algorithms:
                algorithm.tell([told])
        if chance.random() < 0.1:
            # The last one goes on by itself, so that snapshots of snapshots are tried too.
            restored = make(sampler, space=space)
            restored.restore(algorithms[-1].snapshot())
            algorithms = [*algorithms[:2], restored]
    assert len(algorithms) == 3


def test_a_sampler_that_remembers_more_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    from modelops.algorithms import optuna_samplers

    kind = optuna_samplers.Sampler("gp", "RandomSampler")
    monkeypatch.setitem(optuna_samplers.SAMPLERS, "gp", kind)
    settings = AlgorithmSettings(seed=1, n_trials=5, n_parallel=1, options={"sampler": "gp"})
    assert not isinstance(create(SPACE, settings), HasSnapshot)
    assert isinstance(make("random"), HasSnapshot)


@pytest.mark.parametrize("sampler", SMALL)
def test_it_is_plain_json_without_a_pickle(sampler: str) -> None:
    snapshot = half_way(sampler).snapshot()
    header, body = parts(snapshot)
    assert header["format"] == "modelops:optuna-snapshot:v1"
    assert header["versions"]["optuna"] == importlib.metadata.version("optuna")
    assert body["states"][30:] == "RRR"
    assert pickle.dumps(1)[:2].hex().encode() + b"95" not in snapshot
    json.dumps(body, allow_nan=False)


def test_cmaes_keeps_what_it_has_learnt_only_where_it_may_be_read() -> None:
    _, body = parts(half_way("cmaes").snapshot())
    numbers, states = body["optimizers"]
    assert 1 <= len(numbers) <= 4
    assert {"_mean", "_sigma", "_c_1d"} <= states[0].keys()


def test_a_pickle_in_a_snapshot_is_never_read() -> None:
    class Bomb:
        def __reduce__(self) -> Any:
            return (pytest.fail, ("the pickle was run",))

    header, body = parts(half_way("cmaes").snapshot())
    for key in ("cma:optimizer:0", "sepcma:optimizer:0", "cmawm:optimizer:0"):
        attributes = {**body["trial_attributes"], key: [[29], [pickle.dumps(Bomb()).hex()]]}
        algorithm = make("cmaes")
        with pytest.raises(SnapshotError, match="pickle"):
            algorithm.restore(sealed(header, {**body, "trial_attributes": attributes}))
        algorithm.ask(3)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("states", "CC"),
        ("states", "X" * 33),
        ("values", [None]),
        ("params", {}),
        ("params", []),
        ("numbers", [1000]),
        ("numbers", ["a"]),
        ("random_states", []),
        ("random_states", [{}, {}]),
        ("trial_attributes", []),
        ("optimizers", [[29], [{"_mean": 1}]]),
        ("optimizers", [[29], [5]]),
    ],
)
def test_a_forged_snapshot_is_refused_and_changes_nothing(key: str, value: object) -> None:
    header, body = parts(half_way("cmaes").snapshot())
    algorithm = make("cmaes")
    with pytest.raises(SnapshotError):
        algorithm.restore(sealed(header, {**body, key: value}))
    assert algorithm.ask(5) == make("cmaes").ask(5)


def test_values_outside_of_the_space_are_refused() -> None:
    header, body = parts(half_way("random").snapshot())
    body["params"]["contacts"][3] = 21
    with pytest.raises(SnapshotError):
        make("random").restore(sealed(header, body))


@pytest.mark.parametrize("package", ["optuna", "numpy", "cmaes"])
def test_another_version_of_a_library_is_refused(
    package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = half_way("cmaes").snapshot()
    version = importlib.metadata.version
    monkeypatch.setattr(
        importlib.metadata, "version", lambda name: "0.0.1" if name == package else version(name)
    )
    with pytest.raises(SnapshotError, match=rf"{package}.*installed are .*0\.0\.1"):
        make("cmaes").restore(snapshot)


@pytest.mark.parametrize(
    "other",
    [{"seed": 5}, {"n_trials": 61}, {"space": CONSTRAINED}, {"n_startup_trials": 5}],
)
def test_other_settings_are_refused(other: dict[str, Any]) -> None:
    with pytest.raises(SnapshotError, match="other settings"):
        make("tpe", **other).restore(half_way("tpe").snapshot())


def test_a_sampler_that_is_not_as_it_is_known_has_no_snapshot() -> None:
    algorithm = half_way("tpe")
    del algorithm._study.sampler._rng  # type: ignore[attr-defined]
    with pytest.raises(SnapshotError, match="isn't as it is known"):
        algorithm.snapshot()
