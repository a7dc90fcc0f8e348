"""The program in a child: it imports a bundle's code once and serves calls until it's closed.

Started by `child_process`, before it's known whose code it runs:

    python -P -m modelops.worker.child --channel FD --lifeline FD --log FD --progress FD

Frames come and go on the socket `channel`. The first, an Open, says which bundle it is, and brings
the descriptors of locks that hold the bundle and the directory where the child works. What the
model writes to stdout and stderr, by Python or straight to the descriptors 1 and 2, goes to the log
and can't touch them.
"""

import argparse
import io
import os
import socket
import sys
from collections.abc import Sequence

from modelops.contracts import SimFailure
from modelops.core.errors import ServiceError
from modelops.worker.answer_builder import AnswerBuilder
from modelops.worker.answers import Answers
from modelops.worker.evaluating import Evaluator
from modelops.worker.frames import encode_parts, read_frame
from modelops.worker.lifeline import end_group_with
from modelops.worker.message_frames import to_frame, to_request
from modelops.worker.messages import (
    Align,
    Answer,
    Evaluate,
    Evaluated,
    EvaluationOutcome,
    Load,
    Loaded,
    Open,
    Points,
    Ran,
    Request,
    Run,
)
from modelops.worker.model_log import ModelLog, with_log
from modelops.worker.outputs import to_tables
from modelops.worker.progress import Progress
from modelops.worker.simulating import Simulator
from modelops.worker.user_code import UserCode, UserCodeError

MAX_HELD = 2
"""How many descriptors come with an Open: of the bundle's lock and of the directory's."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve requests until the channel is closed."""
    parser = argparse.ArgumentParser()
    for name in ("--channel", "--lifeline", "--log", "--progress"):
        parser.add_argument(name, type=int, required=True)
    options = parser.parse_args(arguments)
    del sys.argv[1:]
    prepare()
    serve(options.channel, options.lifeline, options.log, options.progress)


def serve(channel: int, lifeline: int, log: int, progress: int) -> None:
    """Serve requests until the channel is closed; this process leads a group of its own.

    Args:
        channel: the descriptor of the socket.
        lifeline: that of a pipe whose end is the process's.
        log: that of the file where stdout and stderr go.
        progress: that of the shared memory.
    """
    end_group_with(lifeline)
    for fd in (channel, log, progress):
        # What the model starts must not hold these open.
        os.set_inheritable(fd, False)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A line is in the log at once, for a model that dies before it flushes.
        sys.stdout.reconfigure(line_buffering=True)
    with socket.socket(fileno=channel) as connection:
        _serve(connection, Progress(progress), ModelLog(log))


def prepare() -> None:
    """Pay for what libraries do at their first use before somebody waits for it."""
    builder = AnswerBuilder()
    builder.add_scalars({"": 0.0, "a": ""})
    builder.note(0.0, 0.0, "")
    # pyarrow imports pandas where it looks at a list for the first time, if it's there.
    builder.add_tables(to_tables({"a": [0.0], "b": "", "c": 0}))
    builder.note(0.0, 0.0, "")
    Answers(builder.encode()).tables(0)


def _serve(channel: socket.socket, progress: Progress, log: ModelLog) -> None:
    opening = _receive_open(channel)
    if opening is None:
        return
    os.chdir(opening.directory)
    sys.path[:0] = [opening.bundle_dir, *opening.paths]
    code = UserCode(opening.bundle_dir)

    def send(answer: Answer) -> None:
        for part in encode_parts(to_frame(answer)).parts:
            channel.sendall(part)

    simulator = Simulator(code, progress, log, send)
    evaluator = Evaluator(code, log)
    while (frame := read_frame(channel.recv)) is not None:
        request = to_request(frame)
        log.empty()
        send(_answer(code, simulator, evaluator, log, request))


def _receive_open(channel: socket.socket) -> Open | None:
    """Receive the frame that says whose code this child runs; None if it's never needed."""
    held: list[int] = []

    def read(size: int) -> bytes:
        data, descriptors, _, _ = socket.recv_fds(channel, size, MAX_HELD)
        held.extend(descriptors)
        return data

    frame = read_frame(read)
    if frame is None:
        return None
    request = to_request(frame)
    if not isinstance(request, Open):
        raise ServiceError("A child was asked for something before it had a bundle.")
    # The descriptors stay open, and with them the locks, for as long as the process lives.
    for descriptor in held:
        os.set_inheritable(descriptor, False)
    return request


def _answer(
    code: UserCode, simulator: Simulator, evaluator: Evaluator, log: ModelLog, request: Request
) -> Answer:
    try:
        match request:
            case Load(fn_ref):
                code.load(fn_ref)
                return Loaded()
            case Run():
                return simulator.run(request)
            case Evaluate():
                return evaluator.evaluate(request)
            case Align():
                return evaluator.align(request)
            case Open():
                raise ServiceError("A child has one bundle.")
    except UserCodeError as error:
        return _failed(request, with_log(error.failure, log.take()))


def _failed(request: Request, failure: SimFailure) -> Answer:
    match request:
        case Evaluate():
            return Evaluated((EvaluationOutcome(failure=failure),) * len(request.trials))
        case Align():
            return Points(None, is_final=True)
        case Run():
            builder = AnswerBuilder()
            builder.add_failure(failure)
            builder.note(0.0, 0.0, "")
            return Ran(builder.encode(), 1, (0,), 0.0)
        case _:
            return Loaded(failure)


if __name__ == "__main__":
    main()
