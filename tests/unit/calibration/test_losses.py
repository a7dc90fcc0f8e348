"""Losses on aligned data: weights, what they are taken on, what they refuse."""

import dataclasses
import math
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelops.calibration import (
    RMSE,
    AbsoluteError,
    Aligned,
    BetaBinomialNLL,
    EvaluationStrategy,
    GaussianNLL,
    NegativeBinomialNLL,
    PoissonNLL,
    SquaredError,
    Target,
    evaluate_targets,
)
from modelops.calibration.densities import (
    beta_binomial_nll,
    gaussian_nll,
    negative_binomial_nll,
    poisson_nll,
)
from modelops.core.errors import CalibrationError

LIKELIHOODS = [
    GaussianNLL(sigma=2.0),
    PoissonNLL(),
    NegativeBinomialNLL(dispersion=3.0),
    BetaBinomialNLL(trials=40, concentration=20.0, simulated="count"),
]
SUMS = [SquaredError(), AbsoluteError(), *LIKELIHOODS]
LOSSES = [*SUMS, RMSE()]


def aligned(observed: Any, simulated: Any, **columns: list[float]) -> Aligned:
    points = pa.table({"x": observed, **columns})
    return Aligned(np.array(observed, dtype=float), np.array(simulated, dtype=float), points)


def nll(density: Any, *arguments: Any) -> float:
    made = density(*[np.array(argument, dtype=float) for argument in arguments])
    return math.fsum(made.tolist())


OBSERVED = [3, 0, 7]
REPLICATES = [[2.0, 1.0, 6.0], [4.0, 0.5, 9.0]]
MEAN = [3.0, 0.75, 7.5]
CASES = [
    (GaussianNLL, {"sigma": 2.0}, lambda x, m: nll(gaussian_nll, x, m, [2.0] * 3)),
    (PoissonNLL, {}, lambda x, m: nll(poisson_nll, x, m)),
    (
        NegativeBinomialNLL,
        {"dispersion": 3.0},
        lambda x, m: nll(negative_binomial_nll, x, m, [3.0] * 3),
    ),
    (
        BetaBinomialNLL,
        {"trials": 10, "concentration": 5.0, "simulated": "count"},
        lambda x, m: nll(beta_binomial_nll, x, [10] * 3, np.array(m) / 10, [5.0] * 3),
    ),
]


@pytest.mark.parametrize(("kind", "options", "expected"), CASES)
def test_likelihoods_on_the_mean_and_on_each_replicate(
    kind: Any, options: dict[str, Any], expected: Any
) -> None:
    data = aligned(OBSERVED, REPLICATES)
    each = [expected(OBSERVED, replicate) for replicate in REPLICATES]
    assert kind(**options).evaluate(data) == expected(OBSERVED, MEAN)
    assert kind(on="replicate", **options).evaluate(data) == pytest.approx(sum(each) / 2, rel=1e-15)
    mean_likelihood = (math.exp(-each[0]) + math.exp(-each[1])) / 2
    assert kind(on="likelihood", **options).evaluate(data) == pytest.approx(
        -math.log(mean_likelihood), rel=1e-14
    )


def test_gaussian_by_hand() -> None:
    loss = GaussianNLL(sigma=2.0).evaluate(aligned([1.0], [[4.0]]))
    assert loss == pytest.approx(
        0.5 * 1.5**2 + math.log(2) + 0.5 * math.log(2 * math.pi), rel=1e-15
    )


def test_a_probability_is_simulated_unless_said_otherwise() -> None:
    data = aligned([3, 5], [[0.25, 0.5]])
    counts = aligned([3, 5], [[2.5, 5.0]])
    loss = BetaBinomialNLL(trials=10, concentration=4.0)
    as_counts = BetaBinomialNLL(trials=10, concentration=4.0, simulated="count")
    assert loss.evaluate(data) == as_counts.evaluate(counts)


def test_unlikely_replicates_dont_underflow() -> None:
    loss = GaussianNLL(sigma=1e-3, on="likelihood")
    one, two = (loss.evaluate(aligned([0.0], [[x]])) for x in (1.0, 2.0))
    both = loss.evaluate(aligned([0.0], [[1.0], [2.0]]))
    assert one < two
    assert both == pytest.approx(one + math.log(2), rel=1e-15)


def test_points_of_a_replicate_belong_together() -> None:
    loss = GaussianNLL(sigma=0.1, on="likelihood")
    fits = aligned([0.0, 0.0], [[0.0, 0.0], [1.0, 1.0]])
    fits_by_halves = aligned([0.0, 0.0], [[0.0, 1.0], [1.0, 0.0]])
    assert loss.evaluate(fits) < loss.evaluate(fits_by_halves) - 10


def test_parameters_come_from_columns_and_lists() -> None:
    data = aligned([3, 5], [[0.25, 0.5]], tested=[10, 20], spread=[1.0, 3.0], weight=[2.0, 0.5])
    for made in (
        BetaBinomialNLL(trials="tested", concentration="spread"),
        BetaBinomialNLL(trials=[10, 20], concentration=np.array([1.0, 3.0])),
        BetaBinomialNLL(trials=pd.Series([10, 20]), concentration=(1.0, 3.0)),
    ):
        assert made.evaluate(data) == nll(
            beta_binomial_nll, [3, 5], [10, 20], [0.25, 0.5], [1.0, 3.0]
        )
    assert GaussianNLL(sigma="spread").evaluate(data) == nll(
        gaussian_nll, [3, 5], [0.25, 0.5], [1.0, 3.0]
    )
    assert NegativeBinomialNLL(dispersion="spread").evaluate(data) == nll(
        negative_binomial_nll, [3, 5], [0.25, 0.5], [1.0, 3.0]
    )
    assert SquaredError(weights="weight").evaluate(data) == 2 * 2.75**2 + 0.5 * 4.5**2


def test_a_targets_columns_reach_the_loss() -> None:
    data = {"age": [0, 1], "positive": [3, 5], "tested": [10, 20]}
    goal = Target(
        data,
        on="age",
        value="positive",
        loss=BetaBinomialNLL(trials="tested", concentration=9.0),
    )
    simulated = pa.table({"age": [1, 0], "positive": [0.5, 0.25]})
    assert evaluate_targets({"a": goal}, [{"output": simulated}]).loss == nll(
        beta_binomial_nll, [3, 5], [10, 20], [0.25, 0.5], [9.0, 9.0]
    )
    missing = Target(data, on="age", value="positive", loss=SquaredError(weights="w"))
    with pytest.raises(CalibrationError, match=r"Target 'a'.*no column 'w'.*positive, tested"):
        evaluate_targets({"a": missing}, [{"output": simulated}])


class Foreign:
    """An alignment of somebody else's, that knows nothing of what is prepared."""

    def align(self, observed: Any, simulated: Any, **_: Any) -> Aligned:
        values = [table.column("x").to_pylist() for table in simulated]
        return Aligned(np.array(observed.column("x").to_pylist()), np.array(values))


def test_columns_reach_the_loss_through_an_alignment_of_somebody_else() -> None:
    goal = Target({"x": [1.0, 2.0], "w": [3.0, 0.0]}, alignment=Foreign(), loss=SquaredError())
    weighted = dataclasses.replace(goal, loss=SquaredError(weights="w"))
    tables = [{"output": pa.table({"x": [2.0, 9.0]})}]
    assert evaluate_targets({"a": goal}, tables).loss == 50.0
    assert evaluate_targets({"a": weighted}, tables).loss == 3.0


def test_an_alignment_without_points_has_no_columns() -> None:
    bare = Aligned(np.array([1.0]), np.array([[2.0]]))
    with pytest.raises(CalibrationError, match=r"(?s)needs the column 'w'.*Aligned.points"):
        SquaredError(weights="w").evaluate(bare)


small_counts = st.integers(0, 40)
# None so small that a product with it has fewer digits: then it isn't doubled exactly.
weights_of = st.just(0.0) | st.floats(1e-6, 1e3)


@st.composite
def data_of(draw: st.DrawFn, replicates: int = 5) -> tuple[Aligned, list[float]]:
    points = draw(st.integers(1, 6))

    def several(numbers: Any) -> Any:
        return draw(st.lists(numbers, min_size=points, max_size=points))

    simulated = [several(st.floats(0.01, 39.99)) for _ in range(draw(st.integers(1, replicates)))]
    weights = several(weights_of)
    return aligned(several(small_counts), simulated, w=weights), weights


def evaluated(loss: EvaluationStrategy, **changes: Any) -> Any:
    return dataclasses.replace(loss, **changes)  # type: ignore[type-var]


@pytest.mark.parametrize("loss", SUMS, ids=repr)
@pytest.mark.parametrize("on", ["mean", "replicate"])
@given(case=data_of(), factor=st.floats(1e-3, 1e3))
def test_weights_scale_a_loss_linearly(
    loss: Any, on: str, case: tuple[Aligned, list[float]], factor: float
) -> None:
    data, weights = case
    once = evaluated(loss, on=on, weights=weights).evaluate(data)
    scaled = [weight * factor for weight in weights]
    assert evaluated(loss, on=on, weights=scaled).evaluate(data) == pytest.approx(
        once * factor, rel=1e-12, abs=1e-9
    )
    doubled = [weight * 2 for weight in weights]
    assert evaluated(loss, on=on, weights=doubled).evaluate(data) == 2 * once
    assert evaluated(loss, on=on, weights="w").evaluate(data) == once
    alike = evaluated(loss, on=on, weights=[2.0] * len(weights)).evaluate(data)
    assert alike == 2 * evaluated(loss, on=on).evaluate(data)


@given(case=data_of(), factor=st.floats(1e-3, 1e3))
def test_the_weights_of_a_mean_are_relative(
    case: tuple[Aligned, list[float]], factor: float
) -> None:
    data, weights = case
    some = [weight + 1 for weight in weights]
    once = RMSE(weights=some).evaluate(data)
    scaled = RMSE(weights=[weight * factor for weight in some]).evaluate(data)
    assert scaled == pytest.approx(once, rel=1e-12)


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_a_weight_of_two_counts_like_two_points(loss: Any) -> None:
    twice = aligned([3, 5, 5], [[2.0, 6.0, 6.0], [4.0, 7.0, 7.0]])
    once = aligned([3, 5], [[2.0, 6.0], [4.0, 7.0]])
    for on in loss.ONS:
        weighted = evaluated(loss, on=on, weights=[1.0, 2.0]).evaluate(once)
        assert weighted == pytest.approx(evaluated(loss, on=on).evaluate(twice), rel=1e-14)


def test_a_point_of_weight_0_doesnt_count() -> None:
    data = aligned([3, 5], [[3.0, 0.0]])
    assert PoissonNLL(weights=[1.0, 0.0]).evaluate(data) == nll(poisson_nll, [3], [3.0])
    with pytest.raises(CalibrationError, match="All points have the weight 0"):
        RMSE(weights=[0.0, 0.0]).evaluate(data)


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
@given(case=data_of(), chance=st.randoms(use_true_random=False))
def test_no_order_changes_a_bit(loss: Any, case: tuple[Aligned, list[float]], chance: Any) -> None:
    data, weights = case
    replicates, points = list(range(len(data.simulated))), list(range(len(data.observed)))
    chance.shuffle(replicates)
    chance.shuffle(points)
    other = aligned(
        data.observed[points].tolist(),
        data.simulated[replicates][:, points].tolist(),
        w=[weights[point] for point in points],
    )
    for on in loss.ONS:
        for weighted in (evaluated(loss, on=on), evaluated(loss, on=on, weights="w")):
            if isinstance(loss, RMSE) and weighted.weights == "w" and not any(weights):
                continue
            assert weighted.evaluate(other) == weighted.evaluate(data)


@pytest.mark.parametrize(
    "loss", [loss for loss in LIKELIHOODS if not isinstance(loss, GaussianNLL)], ids=repr
)
@pytest.mark.parametrize(
    ("observed", "message"),
    [
        ([3, -1], "the observed data at point 1 is -1; it must be a whole number from 0"),
        ([2.5, 1], "the observed data at point 0 is 2.5; it must be a whole"),
    ],
)
def test_counts_are_whole_numbers_from_0(loss: Any, observed: Any, message: str) -> None:
    with pytest.raises(CalibrationError, match=message):
        loss.evaluate(aligned(observed, [[1.0, 1.0]]))


@pytest.mark.parametrize("loss", [PoissonNLL(), NegativeBinomialNLL(dispersion=1.0)])
def test_a_mean_of_counts_isnt_negative(loss: Any) -> None:
    data = aligned([1, 1], [[1.0, 1.0], [1.0, -2.0]])
    with pytest.raises(CalibrationError, match=r"replicates' mean at point 1 is -0.5; .*0 or more"):
        loss.evaluate(data)
    with pytest.raises(
        CalibrationError, match="replicate 1 at point 1 is -2; it must be 0 or more"
    ):
        evaluated(loss, on="replicate").evaluate(data)


def test_a_probability_is_one() -> None:
    loss = BetaBinomialNLL(trials=10, concentration=2.0)
    for outside in (-0.1, 1.5):
        with pytest.raises(CalibrationError, match=rf"mean at point 0 is {outside}; .*from 0 to 1"):
            loss.evaluate(aligned([1], [[outside]]))
    counts = evaluated(loss, simulated="count", on="replicate")
    with pytest.raises(CalibrationError, match=r"replicate 0 at point 0 is 11; .*number of trials"):
        counts.evaluate(aligned([1], [[11.0]]))
    with pytest.raises(CalibrationError, match="point 1: 11 successes in only 10 trials"):
        loss.evaluate(aligned([1, 11], [[0.5, 0.5]]))
    with pytest.raises(CalibrationError, match="'fraction', which isn't known"):
        evaluated(loss, simulated="fraction")


def test_no_trials_give_nothing() -> None:
    for simulated in ("count", "probability"):
        loss = BetaBinomialNLL(trials="n", concentration=2.0, simulated=simulated)  # type: ignore[arg-type]
        assert loss.evaluate(aligned([0], [[0.0]], n=[0])) == 0.0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GaussianNLL(sigma=0.0), "sigma is 0; it must be above 0, and finite"),
        (lambda: GaussianNLL(sigma=math.inf), "sigma is inf"),
        (lambda: GaussianNLL(sigma=math.nan), "sigma is nan"),
        (lambda: GaussianNLL(sigma=[1.0, -1.0]), "sigma of point 1 is -1"),
        (lambda: GaussianNLL(sigma=None), r"(?s)sigma is None.*a column of the observed"),  # type: ignore[arg-type]
        (lambda: GaussianNLL(sigma=True), "sigma is True"),
        (lambda: GaussianNLL(sigma=[[1.0]]), "sigma is"),  # type: ignore[list-item]
        (lambda: NegativeBinomialNLL(dispersion=0), "the dispersion is 0; it must be above 0"),
        (lambda: NegativeBinomialNLL(dispersion=math.nan), "the dispersion is nan"),
        (lambda: BetaBinomialNLL(trials=2.5, concentration=1), "number of trials is 2.5; .*whole"),
        (lambda: BetaBinomialNLL(trials=-1, concentration=1), "number of trials is -1"),
        (lambda: BetaBinomialNLL(trials=1, concentration=-1), "the concentration is -1"),
        (lambda: SquaredError(weights=-1.0), "a weight is -1; it must be 0 or more"),
        (lambda: SquaredError(weights=[1.0, math.inf]), "a weight of point 1 is inf"),
        (lambda: PoissonNLL(floor=-1.0), "The floor is -1.0; it must be from 0 and finite"),
        (lambda: BetaBinomialNLL(trials=1, concentration=1, floor=0.5), "0.5; .*below 0.5"),
        (lambda: PoissonNLL(on="median"), r"(?s)'median'.*or on=\"likelihood\""),
        (lambda: SquaredError(on="likelihood"), r"(?s)'likelihood'.*on=\"mean\" or on=\"replic"),
    ],
)
def test_what_is_impossible_is_refused_when_a_loss_is_made(make: Any, message: str) -> None:
    with pytest.raises(CalibrationError, match=message):
        make()


@pytest.mark.parametrize(
    ("loss", "column", "message"),
    [
        (GaussianNLL(sigma="c"), [1.0, 0.0], "as sigma: column 'c' at point 1 is 0; it must be"),
        (GaussianNLL(sigma="c"), [1.0, None], "column 'c' at point 1 is nan"),
        (GaussianNLL(sigma="c"), ["1", "2"], "column 'c' holds string"),
        (SquaredError(weights="c"), [-1.0, 0.0], "as the weight: column 'c' at point 0 is -1"),
        (
            BetaBinomialNLL(trials="c", concentration=1.0),
            [9.0, 9.5],
            "as the number of trials: column 'c' at point 1 is 9.5",
        ),
        (GaussianNLL(sigma=[1.0]), [0.0, 0.0], "sigma has 1 numbers, but 2 points are observed"),
    ],
)
def test_columns_and_lists_are_checked(loss: Any, column: list[Any], message: str) -> None:
    with pytest.raises(CalibrationError, match=message):
        loss.evaluate(aligned([1, 1], [[0.5, 0.5]], c=column))


@pytest.mark.parametrize("on", ["mean", "replicate"])
def test_an_impossible_observation_is_named(on: str) -> None:
    data = aligned([0, 4], [[0.0, 0.0]])
    who = "the replicates' mean" if on == "mean" else "replicate 0"
    for loss in (PoissonNLL(on=on), NegativeBinomialNLL(dispersion=2.0, on=on)):
        with pytest.raises(
            CalibrationError, match=f"(?s){who} makes .*at point 1 it is 0, but 4 was.*floor"
        ):
            loss.evaluate(data)


def test_a_floor_makes_it_possible() -> None:
    data = aligned([0, 4], [[0.0, 0.0]])
    assert PoissonNLL(floor=0.5).evaluate(data) == nll(poisson_nll, [0, 4], [0.5, 0.5])
    assert NegativeBinomialNLL(dispersion=2.0, floor=0.5).evaluate(data) == nll(
        negative_binomial_nll, [0, 4], [0.5, 0.5], [2.0, 2.0]
    )
    bounded = BetaBinomialNLL(trials=5, concentration=2.0, floor=0.01)
    assert bounded.evaluate(aligned([2, 2], [[0.0, 1.0]])) == nll(
        beta_binomial_nll, [2, 2], [5, 5], [0.01, 0.99], [2.0, 2.0]
    )


def test_one_replicate_that_can_is_enough_for_a_likelihood() -> None:
    loss = PoissonNLL(on="likelihood")
    alone = loss.evaluate(aligned([4], [[3.0]]))
    assert loss.evaluate(aligned([4], [[0.0], [3.0]])) == pytest.approx(alone + math.log(2))
    with pytest.raises(CalibrationError, match="replicate 0 makes the observed data impossible"):
        loss.evaluate(aligned([4], [[0.0], [0.0]]))


def test_losses_are_values() -> None:
    assert SquaredError(weights=[1.0, 2.0]) == SquaredError(weights=np.array([1.0, 2.0]))
    assert len({GaussianNLL(sigma=[1.0]), GaussianNLL(sigma=(1.0,))}) == 1
    assert all(isinstance(loss, EvaluationStrategy) for loss in LOSSES)
