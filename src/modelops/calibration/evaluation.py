"""Evaluation of a set of targets: one loss for an algorithm, and each target's part of it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import pyarrow as pa

from modelops.calibration.losses import exact_sum
from modelops.calibration.targets import Target
from modelops.core.errors import CalibrationError


@dataclass(frozen=True)
class Evaluation:
    """What a trial's simulations are worth.

    Attributes:
        loss: the sum of the targets' losses, each multiplied by its weight; finite.
        parts: target → its own loss, not weighted.
    """

    loss: float
    parts: Mapping[str, float]

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", MappingProxyType(dict(self.parts)))


def evaluate_targets(
    targets: Mapping[str, Target], replicates: Sequence[Mapping[str, pa.Table]]
) -> Evaluation:
    """Compare the replicates of one trial with every target.

    Args:
        targets: target's id → target.
        replicates: for each replicate its tables, by name. Their order changes nothing.

    Raises:
        CalibrationError: if a table, column or point is missing, a number isn't finite, or there
            is no target or replicate at all.
    """
    if not targets:
        raise CalibrationError("There is no target, so there is no loss.")
    if not replicates:
        raise CalibrationError("There is no replicate to evaluate.")
    parts = {name: _part(name, target, replicates) for name, target in targets.items()}
    loss = exact_sum([target.weight * parts[name] for name, target in targets.items()])
    if not math.isfinite(loss):
        raise CalibrationError(f"The targets' weighted losses add up to {loss}: {parts}.")
    return Evaluation(loss, parts)


def _part(name: str, target: Target, replicates: Sequence[Mapping[str, pa.Table]]) -> float:
    try:
        tables = [_table(target.table, index, tables) for index, tables in enumerate(replicates)]
        aligned = target.alignment.align(target.data, tables, on=target.on, value=target.value)
    except CalibrationError as error:
        raise CalibrationError(
            f"Target {name!r}, table {target.table!r}: {error.message}", hint=error.hint
        ) from error
    loss = target.loss.evaluate(aligned)
    if not math.isfinite(loss):
        raise CalibrationError(f"Target {name!r}: the loss is {loss}; it must be finite.")
    return loss


def _table(name: str, replicate: int, tables: Mapping[str, pa.Table]) -> pa.Table:
    if name not in tables:
        there = ", ".join(sorted(tables)) or "none"
        raise CalibrationError(f"replicate {replicate} has no such table; its tables are: {there}.")
    return tables[name]
