"""Targets with other numbers in the place of the observed ones, as simulated ones."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa

from modelops.calibration.alignment import Aligned
from modelops.calibration.frames import FloatArray
from modelops.calibration.likelihoods import (
    BetaBinomialNLL,
    NegativeBinomialNLL,
    PoissonNLL,
)
from modelops.calibration.metric_alignment import NAME, VALUE, MetricAlignment
from modelops.calibration.point_values import COUNT, of_points
from modelops.calibration.targets import Target
from modelops.core.errors import CalibrationError

_OF_COUNTS = (BetaBinomialNLL, NegativeBinomialNLL, PoissonNLL)


def on_observed_scale(target: Target, aligned: Aligned) -> FloatArray:
    """Return what was simulated as what would be observed, shape (replicates, points).

    It is the same but for a likelihood that compares counts with a simulated probability: that is
    multiplied by the number of trials.
    """
    loss = target.loss
    if isinstance(loss, BetaBinomialNLL) and loss.simulated == "probability":
        trials = of_points(loss.trials, "the number of trials", COUNT, aligned)
        return aligned.simulated * trials
    return aligned.simulated


def with_values(target: Target, values: Sequence[float]) -> Target:
    """Return a target with the same points, alignment, loss and weight, and other numbers there.

    For a likelihood of counts they are rounded to whole numbers: others can't be observed.

    Args:
        target: any target.
        values: a number for each observed point, in order.

    Raises:
        CalibrationError: if there are more or fewer points, or it isn't known which column they are
            in.
    """
    numbers = np.asarray(values, dtype=np.float64)
    if isinstance(target.loss, _OF_COUNTS):
        numbers = np.rint(numbers)
    row, column = _place(target)
    count = target.data.num_rows if row is None else 1
    if len(numbers) != count:
        raise CalibrationError(f"The target has {count} points, and {len(numbers)} are given.")
    if row is not None:
        measured = target.data.column(column).to_pylist()
        measured[row] = float(numbers[0])
        numbers = np.asarray(measured, dtype=np.float64)
    index = target.data.column_names.index(column)
    changed = target.data.set_column(index, column, pa.array(numbers))
    return replace(target, data=changed)


def _place(target: Target) -> tuple[int | None, str]:
    """Return the row of the only number, or None if each row has one, and the column."""
    names = target.data.column_names
    if isinstance(target.alignment, MetricAlignment):
        metric = target.alignment.metric
        # As the alignment takes it: a column of its name, or a row.
        is_long = NAME in names and VALUE in names
        if metric in names and not (is_long and metric in (NAME, VALUE)):
            return None, metric
        return target.data.column(NAME).to_pylist().index(metric), VALUE
    if target.value is None:
        raise CalibrationError(
            "It isn't known which column of the target's data has its numbers.",
            hint='Name it, as in Target(data, on="day", value="cases").',
        )
    return None, target.value
