"""What a self-test makes of a calibration against known parameters."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelops.analysis.hints import place_in
from modelops.analysis.known_run import KnownRun
from modelops.analysis.recovery import Verdict, choose_truth, recovery_of
from modelops.contracts import (
    CategoricalParameter,
    Constraint,
    FixedParameter,
    FloatParameter,
    IntParameter,
    Scalar,
    SearchSpace,
    TrialStatus,
    UniqueParameterSet,
)
from modelops.core.errors import UsageError
from modelops.runner.records import Trial, TrialOutcome, TrialRecord
from stored_run import make_plan

SPACE = SearchSpace(
    {
        "beta": FloatParameter(0.001, 10.0, log=True),
        "n": IntParameter(1, 101),
        "s": CategoricalParameter((1, True, "1")),
        "fixed": FixedParameter(7),
    }
)
TRUTH: dict[str, Scalar] = {"beta": 0.1, "n": 51, "s": True, "fixed": 7}


def run_of(*trials: tuple[float, Mapping[str, Scalar]]) -> KnownRun:
    plan = make_plan(space=SPACE)
    records = [
        TrialRecord(
            Trial.planned(plan, UniqueParameterSet.from_dict({**TRUTH, **params}, trial=number)),
            TrialOutcome(TrialStatus.COMPLETED, loss),
        )
        for number, (loss, params) in enumerate(trials)
    ]
    return KnownRun("run", plan, tuple(records))


def test_a_number_beyond_all_floats_is_outside_the_space() -> None:
    with pytest.raises(UsageError, match=r"'beta' can't be .*it goes from 0\.001 to 10\.0"):
        choose_truth(SPACE, 1, {"beta": 10**400})


@given(st.integers(0, 2**63))
def test_a_truth_lies_inside_the_space_and_follows_from_the_seed(seed: int) -> None:
    truth = choose_truth(SPACE, seed, {})
    assert truth == choose_truth(SPACE, seed, {})
    assert list(truth) == list(SPACE.parameters)
    for name in ("beta", "n"):
        assert 0.095 <= place_in(SPACE.parameters[name], truth[name]) <= 0.905
    assert type(truth["n"]) is int
    assert truth["fixed"] == 7
    given_one = choose_truth(SPACE, seed, {"n": 3})
    assert given_one == {**truth, "n": 3}


def test_another_seed_is_another_truth() -> None:
    assert len({str(choose_truth(SPACE, seed, {})) for seed in range(20)}) == 20


@pytest.mark.parametrize(
    ("given_", "words"),
    [
        ({"betta": 1.0}, "no parameter 'betta'"),
        ({"beta": 11.0}, "'beta' can't be 11.0: it goes from 0.001 to 10.0"),
        ({"beta": True}, "can't be True"),
        ({"beta": "0.1"}, "can't be '0.1'"),
        ({"n": 1.0}, "a whole number from 1 to 101"),
        ({"s": 1.0}, "its choices are"),
        ({"fixed": 8}, "it is fixed at 7"),
    ],
)
def test_a_truth_outside_the_space_is_refused(given_: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        choose_truth(SPACE, 1, given_)


def test_a_whole_number_is_taken_for_a_real_one() -> None:
    truth = choose_truth(SPACE, 1, {"beta": 1, "s": "1"})
    assert (truth["beta"], type(truth["beta"]), truth["s"]) == (1.0, float, "1")


def test_a_truth_keeps_to_the_constraints() -> None:
    space = SearchSpace(SPACE.parameters, (Constraint("beta * 10 > n"),))
    for seed in range(20):
        assert space.allows(choose_truth(space, seed, {}))
    assert choose_truth(space, 1, {"n": 9})["n"] == 9
    with pytest.raises(UsageError, match="the constraints allow none"):
        choose_truth(space, 1, {"n": 101, "beta": 1.0})


def verdicts(run: KnownRun, true_loss: float, tolerance: float = 0.1) -> dict[str, Verdict]:
    found = recovery_of(run, TRUTH, true_loss, tolerance)
    return {item.name: item.verdict for item in found.parameters}


def test_what_is_near_the_truth_is_recovered() -> None:
    run = run_of((5.0, {"beta": 9.0}), (1.0, {"beta": 0.2, "n": 60}))
    found = recovery_of(run, TRUTH, 1.5)
    assert found.is_recovered
    assert (found.best_loss, found.true_loss) == (1.0, 1.5)
    assert [item.name for item in found.parameters] == ["beta", "n", "s"]
    assert found.parameters[1].distance == pytest.approx(0.09)
    # log10(0.2 / 0.1) of four decades
    assert found.parameters[0].distance == pytest.approx(0.0753, abs=1e-4)
    assert not recovery_of(run, TRUTH, 1.5, tolerance=0.08).is_recovered


def test_what_is_elsewhere_is_told_by_the_loss() -> None:
    run = run_of((1.0, {"n": 90, "s": 1}))
    expected = {"beta": Verdict.RECOVERED}
    assert verdicts(run, 1.0) == {**expected, **dict.fromkeys(("n", "s"), Verdict.NOT_IDENTIFIED)}
    assert verdicts(run, 0.9) == {**expected, **dict.fromkeys(("n", "s"), Verdict.NOT_FOUND)}


def test_one_that_is_anywhere_among_the_good_trials_was_found_by_chance() -> None:
    spread = [(2.0 + number, {"n": 1 + 10 * number}) for number in range(11)]
    run = run_of((1.0, {}), *spread)
    found = verdicts(run, 1.0)
    assert found == {"beta": Verdict.RECOVERED, "n": Verdict.BY_CHANCE, "s": Verdict.RECOVERED}


def test_trials_that_failed_have_no_say() -> None:
    run = run_of((1.0, {"n": 52}), (0.0, {"n": 1}))
    failed = replace(run.records[1], outcome=TrialOutcome(TrialStatus.FAILED, reason="model"))
    run = replace(run, records=(run.records[0], failed))
    assert verdicts(run, 1.0)["n"] is Verdict.RECOVERED
