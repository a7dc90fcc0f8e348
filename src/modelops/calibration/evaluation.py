"""Evaluation of a set of targets: one loss for an algorithm, and each target's part of it.

It has two steps. Each replicate is aligned with the targets by itself, here or already where it was
simulated (`align_replicate`); then what was found is put together, and each target's loss is taken.
So where a replicate was aligned changes no bit of a loss.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType

import pyarrow as pa

from modelops.calibration.alignment import Aligned, ReplicateAlignment
from modelops.calibration.frames import FloatArray
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


@dataclass(frozen=True, eq=False)
class AlignedReplicate:
    """What one replicate has for the points of each target.

    Attributes:
        points: target's id → shape (points,), in the order of the observed rows, all finite.
    """

    points: Mapping[str, FloatArray]


Replicate = Mapping[str, pa.Table] | AlignedReplicate
"""A replicate's tables, by name, or what was found in them for each target."""


def align_replicate(
    targets: Mapping[str, Target], tables: Mapping[str, pa.Table]
) -> AlignedReplicate | None:
    """Align one replicate with every target, without the others.

    Args:
        targets: target's id → target.
        tables: the replicate's, by name.

    Returns:
        What takes the place of the tables in `evaluate_targets`; None if the alignment of a target
        can't take a replicate by itself.

    Raises:
        CalibrationError: as `evaluate_targets` would of these tables, which names the replicate.
    """
    by_replicate = {name: target.by_replicate for name, target in targets.items()}
    points = {}
    for name, alignment in by_replicate.items():
        if alignment is None:
            return None
        with _named(name, targets[name]):
            points[name] = _points(name, targets[name], alignment, 0, tables)
    return AlignedReplicate(points)


def evaluate_targets(targets: Mapping[str, Target], replicates: Sequence[Replicate]) -> Evaluation:
    """Compare the replicates of one trial with every target.

    Args:
        targets: target's id → target.
        replicates: for each replicate its tables, or what `align_replicate` made of them. Neither
            their order nor which of the two they are changes anything.

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


def _part(name: str, target: Target, replicates: Sequence[Replicate]) -> float:
    with _named(name, target):
        loss = target.loss_of(_aligned(name, target, replicates))
    if not math.isfinite(loss):
        raise CalibrationError(f"Target {name!r}: the loss is {loss}; it must be finite.")
    return loss


def _aligned(name: str, target: Target, replicates: Sequence[Replicate]) -> Aligned:
    alignment = target.by_replicate
    if alignment is None:
        return target.align(
            [_table(name, target, index, each) for index, each in enumerate(replicates)]
        )
    return alignment.combine(
        [_points(name, target, alignment, index, each) for index, each in enumerate(replicates)]
    )


def _points(
    name: str, target: Target, alignment: ReplicateAlignment, index: int, replicate: Replicate
) -> FloatArray:
    if isinstance(replicate, AlignedReplicate) and name in replicate.points:
        return replicate.points[name]
    table = _table(name, target, index, replicate)
    return alignment.align_replicate(table, f"replicate {index}")


def _table(name: str, target: Target, index: int, replicate: Replicate) -> pa.Table:
    if isinstance(replicate, AlignedReplicate):
        there = ", ".join(sorted(replicate.points)) or "none"
        raise CalibrationError(
            f"replicate {index} was aligned with other targets than {name!r}: {there}."
        )
    if target.table not in replicate:
        there = ", ".join(sorted(replicate)) or "none"
        raise CalibrationError(f"replicate {index} has no such table; its tables are: {there}.")
    return replicate[target.table]


@contextmanager
def _named(name: str, target: Target) -> Iterator[None]:
    """Name the target in an error."""
    try:
        yield
    except CalibrationError as error:
        raise CalibrationError(
            f"Target {name!r}, table {target.table!r}: {error.message}", hint=error.hint
        ) from error
