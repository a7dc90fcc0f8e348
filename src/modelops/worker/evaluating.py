"""Evaluating trials, inside the child: the bundle's targets on its simulations' tables.

Large tables are aligned by a child of the worker that made them, and what was found there is
evaluated by the runner's.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from modelops.contracts import AlignedOutputs, FailureReason, SimFailure
from modelops.worker.frames import Payload
from modelops.worker.messages import (
    Align,
    Evaluate,
    Evaluated,
    EvaluationOutcome,
    Points,
    Replicate,
    Rows,
)
from modelops.worker.model_log import ModelLog, with_log
from modelops.worker.outputs import from_ipc
from modelops.worker.user_code import UserCode, UserCodeError

if TYPE_CHECKING:
    from modelops.calibration import AlignedReplicate, Target

_POINT = np.dtype("<f8")


class Evaluator:
    """Compares trials with the targets of one bundle's code."""

    def __init__(self, code: UserCode, log: ModelLog) -> None:
        """Make it.

        Args:
            code: the bundle's.
            log: where what the targets write is found.
        """
        self._code = code
        self._log = log
        self._targets: dict[str, Target] = {}

    def evaluate(self, request: Evaluate) -> Evaluated:
        """Return each trial's loss and each target's part of it, or why it has none.

        Raises:
            UserCodeError: if a target can't be made.
        """
        targets = self._targets_of(request)
        outcomes = []
        streams = _Streams(self._code, request.streams)
        for trial in request.trials:
            try:
                outcomes.append(self._evaluate(targets, trial, streams))
            except UserCodeError as error:
                failure = with_log(error.failure, self._log.take())
                outcomes.append(EvaluationOutcome(failure=failure))
        return Evaluated(tuple(outcomes))

    def align(self, request: Align) -> Points:
        """Return what a simulation has for the targets' points, none if it doesn't fit.

        Raises:
            UserCodeError: if a target can't be made.
        """
        from modelops.calibration import align_replicate  # noqa: PLC0415

        targets = self._targets_of(request)
        try:
            tables = {
                name: self._code.call(from_ipc, data) for name, data in request.tables.items()
            }
            aligned = self._code.call(align_replicate, targets, tables)
        except UserCodeError:
            # Whoever evaluates the tables finds out the same, and says which replicate it is.
            return Points(None)
        if aligned is None:
            return Points(None, is_final=True)
        return Points(
            {name: points.astype(_POINT).tobytes() for name, points in aligned.points.items()}
        )

    def _targets_of(self, request: Evaluate | Align) -> "dict[str, Target]":
        return {name: self._target(name, fn_ref) for name, fn_ref in request.targets.items()}

    def _replicate(
        self, replicate: Replicate, streams: "_Streams"
    ) -> "dict[str, pa.Table] | AlignedReplicate":
        from modelops.calibration import AlignedReplicate  # noqa: PLC0415

        if not isinstance(replicate, AlignedOutputs):
            return {name: streams.table(rows) for name, rows in replicate.items()}
        points = {
            name: np.frombuffer(data, _POINT).astype(np.float64)
            for name, data in replicate.points.items()
        }
        return AlignedReplicate(points)

    def _target(self, target_id: str, fn_ref: str) -> "Target":
        """Return the target, made by the bundle's function at the first time only."""
        # Not at the top: a child that only simulates needn't pay for the import.
        from modelops.calibration import Target  # noqa: PLC0415

        if fn_ref in self._targets:
            return self._targets[fn_ref]
        function = self._code.load(fn_ref)
        try:
            target = self._code.call(function)
        except UserCodeError as error:
            message = f"target {target_id!r}: {error.failure.message}"
            raise UserCodeError(replace(error.failure, message=message)) from None
        if not isinstance(target, Target):
            kind = type(target).__name__
            raise _failed(f"target {target_id!r}: {fn_ref} returned a {kind}, not a Target")
        self._targets[fn_ref] = target
        return target

    def _evaluate(
        self, targets: "Mapping[str, Target]", trial: Sequence[Replicate], streams: "_Streams"
    ) -> EvaluationOutcome:
        from modelops.calibration import evaluate_targets  # noqa: PLC0415

        replicates = [self._replicate(replicate, streams) for replicate in trial]
        evaluation = self._code.call(evaluate_targets, targets, replicates)
        for target_id, part in evaluation.parts.items():
            if not math.isfinite(part):
                raise _failed(f"the loss of target {target_id!r} is {part}; it must be finite")
        if not math.isfinite(evaluation.loss):
            raise _failed(f"the loss is {evaluation.loss} though each target's part is finite")
        return EvaluationOutcome(float(evaluation.loss), evaluation.parts)


class _Streams:
    """The streams of a request, each read when the first of its tables is asked for."""

    def __init__(self, code: UserCode, data: Sequence[Payload]) -> None:
        self._code = code
        self._data = data
        self._read: dict[int, pa.Table] = {}

    def table(self, rows: Rows) -> pa.Table:
        """Return a table.

        Raises:
            UserCodeError: if its stream is none.
        """
        stream = self._read.get(rows.stream)
        if stream is None:
            stream = self._code.call(from_ipc, self._data[rows.stream])
            self._read[rows.stream] = stream
        return stream if rows.number < 0 else stream.slice(rows.start, rows.number)


def _failed(message: str) -> UserCodeError:
    return UserCodeError(SimFailure(FailureReason.MODEL, message))
