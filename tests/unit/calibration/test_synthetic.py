"""Targets whose observed numbers are replaced."""

from typing import Any

import pytest

from modelops.calibration import (
    AbsoluteError,
    BetaBinomialNLL,
    MetricAlignment,
    PoissonNLL,
    Target,
    evaluate_targets,
)
from modelops.calibration.frames import as_table
from modelops.calibration.synthetic import on_observed_scale, with_values
from modelops.core.errors import CalibrationError

DATA = {"day": [2, 0, 1], "cases": [5, 3, 4], "weight": [1.0, 2.0, 3.0]}


def test_only_the_numbers_change() -> None:
    target = Target(DATA, on="day", value="cases", loss=AbsoluteError(), weight=2.0, table="out")
    changed = with_values(target, [7.5, 8.0, 9.0])
    assert changed.data.to_pydict() == {**DATA, "cases": [7.5, 8.0, 9.0]}
    kept = ("on", "value", "loss", "weight", "table", "alignment")
    assert [getattr(changed, name) for name in kept] == [getattr(target, name) for name in kept]
    assert target.data.to_pydict() == DATA
    simulated = as_table({"day": [0, 1, 2], "cases": [8.0, 9.0, 7.5]}, "it")
    assert evaluate_targets({"t": changed}, [{"out": simulated}]).loss == 0


def test_a_metric_may_be_a_column() -> None:
    target = Target({"r0": [2.5], "source": ["paper"]}, alignment=MetricAlignment("r0"))
    assert with_values(target, [3.5]).data.to_pydict() == {"r0": [3.5], "source": ["paper"]}


def test_a_metric_may_be_a_row() -> None:
    data = {"metric": ["peak", "r0"], "value": [10.0, 2.5]}
    target = Target(data, alignment=MetricAlignment("r0"))
    found = with_values(target, [3.5]).data.to_pydict()
    assert found == {"metric": ["peak", "r0"], "value": [10.0, 3.5]}
    with pytest.raises(CalibrationError, match="has 1 points, and 2 are given"):
        with_values(target, [1.0, 2.0])


def test_counts_stay_whole_numbers() -> None:
    counts = Target(DATA, on="day", value="cases", loss=PoissonNLL())
    assert with_values(counts, [7.4, 8.6, 0.2]).data.column("cases").to_pylist() == [7.0, 9.0, 0.0]
    others = Target(DATA, on="day", value="cases", loss=AbsoluteError())
    assert with_values(others, [7.4, 8.6, 0.2]).data.column("cases").to_pylist() == [7.4, 8.6, 0.2]


def test_a_simulated_probability_is_shown_as_a_count() -> None:
    data = {"day": [0, 1], "positive": [3, 4], "tested": [10, 20]}
    simulated = {"day": [0, 1], "positive": [0.25, 0.5]}

    def scaled(**options: Any) -> list[list[float]]:
        loss = BetaBinomialNLL(concentration=50.0, **options)
        target = Target(data, on="day", value="positive", loss=loss)
        return on_observed_scale(target, target.align([simulated])).tolist()

    assert scaled(trials="tested") == [[2.5, 10.0]]
    assert scaled(trials=8) == [[2.0, 4.0]]
    assert scaled(trials="tested", simulated="count") == [[0.25, 0.5]]
    plain = Target(data, on="day", value="positive")
    assert on_observed_scale(plain, plain.align([simulated])).tolist() == [[0.25, 0.5]]


class Own:
    """An alignment that knows its column itself."""

    def align(self, observed, simulated, *, on=(), value=None):  # type: ignore[no-untyped-def]
        raise NotImplementedError


def test_what_does_not_fit_is_refused() -> None:
    target = Target(DATA, on="day", value="cases")
    with pytest.raises(CalibrationError, match="has 3 points, and 2 are given"):
        with_values(target, [1.0, 2.0])
    with pytest.raises(CalibrationError, match="isn't known which column"):
        with_values(Target(DATA, on="day", alignment=Own()), [1.0, 2.0, 3.0])
