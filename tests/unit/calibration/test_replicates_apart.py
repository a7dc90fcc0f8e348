"""Replicates that were aligned by themselves give the losses of their tables, bit for bit."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelops.calibration import (
    RMSE,
    AbsoluteError,
    Aligned,
    AlignedReplicate,
    AsOfAlignment,
    ExactAlignment,
    GaussianNLL,
    InterpolationAlignment,
    MetricAlignment,
    SquaredError,
    Target,
    align_replicate,
    evaluate_targets,
)
from modelops.core.errors import CalibrationError

Tables = Mapping[str, pa.Table]

DAYS = 12
numbers = st.floats(-1e9, 1e9, allow_subnormal=True)
LOSSES = (
    *(loss(on=on) for loss in (SquaredError, AbsoluteError, RMSE) for on in ("mean", "replicate")),
    *(GaussianNLL(sigma="sigma", on=on) for on in ("mean", "replicate", "likelihood")),
    GaussianNLL(sigma=1e8, weights="sigma"),
)
ALIGNMENTS = (
    ExactAlignment(),
    AsOfAlignment("nearest"),
    AsOfAlignment("backward", tolerance=2),
    AsOfAlignment("forward"),
    InterpolationAlignment(),
    InterpolationAlignment(edge="hold"),
)


@st.composite
def curves(draw: st.DrawFn) -> Target:
    """A target of the table `curve`, whose rows are at every whole day or between them."""
    alignment = draw(st.sampled_from(ALIGNMENTS))
    whole = isinstance(alignment, ExactAlignment)
    day = st.integers(0, DAYS - 1) if whole else st.floats(0, DAYS - 1)
    days = draw(st.lists(day, min_size=1, max_size=6, unique=True))
    data = {
        "day": days,
        "cases": draw(st.lists(numbers, min_size=len(days), max_size=len(days))),
        "sigma": [float(index + 1) * 1e8 for index in range(len(days))],
    }
    loss = draw(st.sampled_from(LOSSES))
    return Target(data, on="day", value="cases", table="curve", alignment=alignment, loss=loss)


@st.composite
def metrics(draw: st.DrawFn) -> Target:
    """A target of a number that the table `numbers` has."""
    data = draw(
        st.sampled_from(
            ({"R0": 2.5, "sigma": 3e8}, {"metric": ["x", "R0"], "value": [1, 2], "sigma": [1, 5e8]})
        )
    )
    loss = draw(st.sampled_from(LOSSES))
    return Target(data, table="numbers", alignment=MetricAlignment("R0"), loss=loss)


@st.composite
def tables(draw: st.DrawFn) -> Tables:
    """A replicate: a curve in some order, and a number."""
    order = draw(st.permutations(range(DAYS)))
    cases = draw(st.lists(numbers, min_size=DAYS, max_size=DAYS))
    kind = draw(st.sampled_from((pa.float64(), pa.float32(), pa.int64())))
    days = pa.array([float(day) for day in order]).cast(pa.int64())
    values = np.array(cases).astype(kind.to_pandas_dtype())
    return {
        "curve": pa.table({"day": days, "cases": values}),
        "numbers": pa.table({"metric": ["other", "R0"], "value": [0.0, draw(numbers)]}),
    }


@settings(max_examples=300, deadline=None)
@given(
    goals=st.lists(st.one_of(curves(), metrics()), min_size=1, max_size=3),
    replicates=st.lists(tables(), min_size=1, max_size=4),
    data=st.data(),
)
def test_which_replicates_were_aligned_before_changes_no_bit(
    goals: list[Target], replicates: list[Tables], data: st.DataObject
) -> None:
    targets = {f"target {index}": goal for index, goal in enumerate(goals)}
    together = _evaluated(targets, replicates)
    # Elsewhere the targets are made anew, and see other replicates before.
    elsewhere = {name: _made_anew(target) for name, target in targets.items()}
    mixed: list[Any] = []
    for replicate in replicates:
        is_apart = data.draw(st.booleans())
        mixed.append(align_replicate(elsewhere, replicate) if is_apart else replicate)
    assert _evaluated(targets, mixed) == together
    apart = {
        name: target.evaluate([each[target.table] for each in replicates])
        for name, target in targets.items()
    }
    if not isinstance(together, str):
        assert {name: value.hex() for name, value in apart.items()} == together[1]


def test_a_replicate_that_does_not_fit_is_named_whatever_came_of_the_others() -> None:
    goal = Target({"day": [1, 2], "cases": [1.0, 2.0]}, on="day", value="cases")
    good = {"output": pa.table({"day": [1, 2, 3], "cases": [1.0, 5.0, 9.0]})}
    bad = {"output": pa.table({"day": [1], "cases": [1.0]})}
    aligned = align_replicate({"t": goal}, good)
    assert aligned is not None
    assert aligned.points["t"].tolist() == [1.0, 5.0]
    with pytest.raises(CalibrationError) as whole:
        evaluate_targets({"t": goal}, [good, good, bad])
    with pytest.raises(CalibrationError) as mixed:
        evaluate_targets({"t": goal}, [aligned, good, bad])
    assert str(mixed.value) == str(whole.value)
    assert "Target 't', table 'output': replicate 2 lacks 1 of 2 observed points" in str(
        mixed.value
    )
    with pytest.raises(CalibrationError, match=r"Target 't'.*no such table"):
        align_replicate({"t": goal}, {"other": good["output"]})


def test_replicates_of_other_targets_are_refused() -> None:
    goal = Target({"day": [1, 2], "cases": [1.0, 2.0]}, on="day", value="cases")
    other = AlignedReplicate({"other": np.zeros(2)})
    with pytest.raises(CalibrationError, match="with other targets than 't': other"):
        evaluate_targets({"t": goal}, [other])
    longer = AlignedReplicate({"t": np.zeros(3)})
    with pytest.raises(CalibrationError, match="3 points, but 2 are observed"):
        evaluate_targets({"t": goal}, [longer])


class JointAlignment:
    """Somebody's alignment that takes all replicates together: of each its place among them."""

    def align(self, observed: pa.Table, simulated: Sequence[pa.Table], **_: object) -> Aligned:
        rows = np.array([[float(place)] for place, _ in enumerate(simulated)])
        return Aligned(np.array([0.0]), rows)


def test_an_alignment_that_takes_replicates_together_is_given_them_together() -> None:
    goal = Target({"x": [0.0]}, alignment=JointAlignment(), loss=SquaredError(on="replicate"))
    replicate = {"output": pa.table({"x": [1.0]})}
    assert align_replicate({"t": goal}, replicate) is None
    assert evaluate_targets({"t": goal}, [replicate] * 3).loss == 5 / 3


def _made_anew(target: Target) -> Target:
    return Target(
        target.data,
        on=target.on,
        value=target.value,
        table=target.table,
        alignment=target.alignment,
        loss=target.loss,
    )


def _evaluated(
    targets: Mapping[str, Target], replicates: Sequence[Any]
) -> tuple[str, dict[str, str]] | str:
    """Return loss and parts in all their bits, or the error."""
    try:
        evaluation = evaluate_targets(targets, replicates)
    except CalibrationError as error:
        return str(error)
    return evaluation.loss.hex(), {name: part.hex() for name, part in evaluation.parts.items()}
