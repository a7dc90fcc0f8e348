"""Targets: the observed data that simulations are compared with, and how."""

import math
from dataclasses import dataclass, field

from modelops.calibration.alignment import AlignmentStrategy, ExactAlignment
from modelops.calibration.frames import Frame, as_table, copied, numbers, require_column
from modelops.calibration.losses import EvaluationStrategy, SquaredError
from modelops.core.errors import CalibrationError


@dataclass(frozen=True, eq=False)
class Target:
    """Observed data, where a simulation holds the same, and how the two are compared.

    Attributes:
        data: the observations: a pandas, polars or pyarrow frame, or a dict of columns; kept as a
            pyarrow table of its own.
        on: the columns that identify a point, in the data and in the simulated table; none for a
            metric.
        value: the column of the numbers, in both; a metric's alignment knows its own.
        table: which of the simulation's tables holds them.
        alignment: which simulated number belongs to which observed one.
        loss: how far they are apart.
        weight: what this target's loss is multiplied by in the sum of all targets.

    Raises:
        CalibrationError: if a column is missing, there are no observations, or the weight isn't a
            finite number from 0.
    """

    data: Frame
    on: str | tuple[str, ...] = ()
    value: str | None = None
    table: str = "output"
    alignment: AlignmentStrategy = field(default_factory=ExactAlignment)
    loss: EvaluationStrategy = field(default_factory=SquaredError)
    weight: float = 1.0

    def __post_init__(self) -> None:
        what = "the target's data"
        table = as_table(self.data, what)
        on = (self.on,) if isinstance(self.on, str) else tuple(self.on)
        for name in on:
            require_column(table, name, what)
        if table.num_rows == 0:
            raise CalibrationError(f"{what} have no rows: there is nothing to compare.")
        if self.value is not None:
            numbers(table, self.value, what)
        if isinstance(self.weight, bool) or not 0 <= self.weight < math.inf:
            raise CalibrationError(f"a target's weight is {self.weight!r}; it must be 0 or more.")
        object.__setattr__(self, "data", copied(table))
        object.__setattr__(self, "on", on)
