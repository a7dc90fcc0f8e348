"""Targets: the observed data that simulations are compared with, and how."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pyarrow as pa

from modelops.calibration.alignment import (
    Aligned,
    AlignmentStrategy,
    PreparedAlignment,
    PreparingAlignment,
    ReplicateAlignment,
)
from modelops.calibration.discovery import create_alignment, create_loss
from modelops.calibration.frames import Frame, as_table, copied, numbers, require_column
from modelops.calibration.key_alignment import ExactAlignment
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
        alignment: which simulated number belongs to which observed one: an object, or the name of
            an installed one that needs no options.
        loss: how far they are apart: likewise.
        weight: what this target's loss is multiplied by in the sum of all targets.
        by_replicate: the alignment with the data, if it can take each replicate by itself.

    Raises:
        CalibrationError: if a column is missing, there are no observations, the alignment can't
            align them (a point is there twice or isn't a finite number), or the weight isn't a
            finite number from 0.
    """

    data: Frame
    on: str | tuple[str, ...] = ()
    value: str | None = None
    table: str = "output"
    alignment: AlignmentStrategy | str = field(default_factory=ExactAlignment)
    loss: EvaluationStrategy | str = field(default_factory=SquaredError)
    weight: float = 1.0
    by_replicate: ReplicateAlignment | None = field(init=False, repr=False)
    _prepared: PreparedAlignment = field(init=False, repr=False)
    _evaluation: EvaluationStrategy = field(init=False, repr=False)

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
        data = copied(table)
        object.__setattr__(self, "data", data)
        object.__setattr__(self, "on", on)
        alignment = _alignment(self.alignment)
        loss = _loss(self.loss)
        prepared: PreparedAlignment = (
            alignment.prepare(data, on=on, value=self.value)
            if isinstance(alignment, PreparingAlignment) and _aligns_by_preparing(type(alignment))
            else _Unprepared(alignment, data, on, self.value)
        )
        for name, made in (
            ("alignment", alignment),
            ("loss", loss),
            ("by_replicate", prepared if isinstance(prepared, ReplicateAlignment) else None),
            ("_prepared", prepared),
            ("_evaluation", loss),
        ):
            object.__setattr__(self, name, made)

    def align(self, simulated: Sequence[Frame]) -> Aligned:
        """Return the data's points with what each of the replicates' tables has for them.

        Raises:
            CalibrationError: as for `AlignmentStrategy.align`.
        """
        return self._prepared.align(simulated)

    def evaluate(self, simulated: Sequence[Frame]) -> float:
        """Return the loss of the replicates' tables, not multiplied by the target's weight.

        Raises:
            CalibrationError: if they can't be aligned with the data, or the loss can't be taken.
        """
        return self.loss_of(self.align(simulated))

    def loss_of(self, aligned: Aligned) -> float:
        """Return the loss of replicates that are aligned, not multiplied by the target's weight.

        Raises:
            CalibrationError: if the loss can't be taken.
        """
        return self._evaluation.evaluate(aligned)


@dataclass(frozen=True)
class _Unprepared:
    """What calls somebody else's alignment anew each time."""

    alignment: AlignmentStrategy
    data: pa.Table
    on: tuple[str, ...]
    value: str | None

    def align(self, simulated: Sequence[Frame]) -> Aligned:
        aligned = self.alignment.align(self.data, simulated, on=self.on, value=self.value)
        if aligned.points is None and len(aligned.observed) == self.data.num_rows:
            # It keeps the points and their order: that's guaranteed.
            return replace(aligned, points=self.data)
        return aligned


def _alignment(alignment: object) -> AlignmentStrategy:
    if isinstance(alignment, str):
        return create_alignment(alignment)
    _refuse_class(alignment, "alignment")
    if not isinstance(alignment, AlignmentStrategy):
        raise CalibrationError(f"a target's alignment is {alignment!r}, which has no align.")
    return alignment


def _loss(loss: object) -> EvaluationStrategy:
    if isinstance(loss, str):
        return create_loss(loss)
    _refuse_class(loss, "loss")
    if not isinstance(loss, EvaluationStrategy):
        raise CalibrationError(f"a target's loss is {loss!r}, which has no evaluate.")
    return loss


def _refuse_class(given: object, what: str) -> None:
    if isinstance(given, type):
        raise CalibrationError(
            f"a target's {what} is the class {given.__name__}, not one of its objects.",
            hint=f"Write {given.__name__}() with brackets.",
        )


def _aligns_by_preparing(alignment: type) -> bool:
    """Whether `prepare` belongs to `align`: a subclass may have changed one of them only."""
    order = alignment.__mro__
    places = {
        name: next((i for i, part in enumerate(order) if name in vars(part)), len(order))
        for name in ("prepare", "align")
    }
    return places["prepare"] <= places["align"]
