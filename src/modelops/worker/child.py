"""The program in a warm child: it imports a bundle's code once and serves calls until it's closed.

Started by `child_process`, with the bundle as its current directory:

    python -P -m modelops.worker.child --requests FD --responses FD --lifeline FD

Frames come and go on descriptors of their own. What the model writes to stdout and stderr, by
Python or straight to the descriptors 1 and 2, goes to the log and can't touch them.
"""

import argparse
import contextlib
import io
import math
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from modelops.contracts import FailureReason, SimFailure, SimReturn, SimStatus, SimTask
from modelops.worker.frames import FrameError, encode, read_frame
from modelops.worker.lifeline import end_group_with
from modelops.worker.messages import (
    Answer,
    Evaluate,
    EvaluationOutcome,
    Load,
    Loaded,
    Request,
    Simulate,
    to_frame,
    to_request,
)
from modelops.worker.outputs import from_ipc, select_tables, to_ipc, to_tables
from modelops.worker.user_code import UserCode, UserCodeError


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve requests until the pipe of requests is closed."""
    parser = argparse.ArgumentParser()
    for name in ("--requests", "--responses", "--lifeline"):
        parser.add_argument(name, type=int, required=True)
    options = parser.parse_args(arguments)
    end_group_with(options.lifeline)
    for fd in (options.requests, options.responses):
        # What the model starts must not hold the protocol's descriptors open.
        os.set_inheritable(fd, False)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A line is in the log at once, for a model that dies before it flushes.
        sys.stdout.reconfigure(line_buffering=True)
    del sys.argv[1:]
    bundle_dir = Path.cwd()
    sys.path.insert(0, str(bundle_dir))
    _serve(UserCode(bundle_dir), options.requests, options.responses)


def _serve(code: UserCode, requests: int, responses: int) -> None:
    while (frame := read_frame(lambda size: os.read(requests, size))) is not None:
        request = to_request(frame)
        started = time.perf_counter()
        answer = _answer(code, request)
        try:
            data = encode(to_frame(answer))
        except FrameError as error:
            failure = SimFailure(FailureReason.MODEL, f"the result can't be sent: {error.message}")
            data = encode(to_frame(_failed(request, failure, time.perf_counter() - started)))
        _flush()
        _write(responses, data)


def _answer(code: UserCode, request: Request) -> Answer:
    started = time.perf_counter()
    try:
        match request:
            case Load(fn_ref):
                code.load(fn_ref)
                return Loaded()
            case Simulate(task):
                return _simulate(code, task)
            case Evaluate():
                return _evaluate(code, request)
    except UserCodeError as error:
        return _failed(request, error.failure, time.perf_counter() - started)


def _simulate(code: UserCode, task: SimTask) -> SimReturn:
    function = code.load(task.fn_ref)
    started = time.perf_counter()
    value = code.call(function, dict(task.params), task.seed)
    seconds = time.perf_counter() - started
    tables = code.call(_encode_tables, value, task.outputs)
    return SimReturn(task.task_id, SimStatus.COMPLETED, tables, seconds=seconds)


def _encode_tables(value: object, outputs: Sequence[str]) -> dict[str, bytes]:
    tables = select_tables(to_tables(value), outputs)
    return {name: to_ipc(table) for name, table in tables.items()}


def _evaluate(code: UserCode, request: Evaluate) -> EvaluationOutcome:
    # Not at the top: a child that only simulates needn't pay for the import.
    from modelops.calibration import Target, evaluate_targets  # noqa: PLC0415

    targets = {}
    for target_id, fn_ref in request.targets.items():
        targets[target_id] = code.call(code.load(fn_ref))
        if not isinstance(targets[target_id], Target):
            kind = type(targets[target_id]).__name__
            message = f"target {target_id!r}: {fn_ref} returned a {kind}, not a Target"
            raise UserCodeError(SimFailure(FailureReason.MODEL, message))
    replicates = [
        {name: code.call(from_ipc, data) for name, data in tables.items()}
        for tables in request.replicates
    ]
    evaluation = code.call(evaluate_targets, targets, replicates)
    for target_id, part in evaluation.parts.items():
        if not math.isfinite(part):
            message = f"the loss of target {target_id!r} is {part}; it must be finite"
            raise UserCodeError(SimFailure(FailureReason.MODEL, message))
    if not math.isfinite(evaluation.loss):
        message = f"the loss is {evaluation.loss} though each target's part is finite"
        raise UserCodeError(SimFailure(FailureReason.MODEL, message))
    return EvaluationOutcome(float(evaluation.loss), evaluation.parts)


def _failed(request: Request, failure: SimFailure, seconds: float) -> Answer:
    match request:
        case Load():
            return Loaded(failure)
        case Simulate(task):
            status = SimStatus.FAILED
            return SimReturn(task.task_id, status, failure=failure, seconds=seconds)
        case Evaluate():
            return EvaluationOutcome(failure=failure)


def _flush() -> None:
    for stream in (sys.__stdout__, sys.__stderr__):
        # The model may have closed it.
        with contextlib.suppress(OSError, ValueError):
            if stream is not None:
                stream.flush()


def _write(fd: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]


if __name__ == "__main__":
    main()
