"""A call in a copy of this process, which ends with it: nothing that it changes is left."""

import io
import math
import os
import select
from collections.abc import Callable

from modelops.worker.answer_builder import AnswerBuilder
from modelops.worker.answers import Answers
from modelops.worker.chunk_outcomes import Add
from modelops.worker.endings import describe_end
from modelops.worker.frames import FrameError
from modelops.worker.model_log import ModelLog
from modelops.worker.user_code import UserCodeError


class CopyDiedError(Exception):
    """The copy of the child that ran a simulation ended before it gave the outcome."""


def call_in_copy(
    simulate: Callable[[], Add], log: ModelLog, wait: float, on_waited: Callable[[], None]
) -> Add:
    """Run a simulation in a copy of this process.

    Args:
        simulate: runs it, and returns what adds its outcome to a builder.
        log: where what it writes is found.
        wait: seconds to wait for it until `on_waited` is called; below 0 for not at all.
        on_waited: called once, if it takes longer.

    Returns:
        What adds its outcome to a builder here.

    Raises:
        CopyDiedError: if the copy ended before it gave the outcome.
    """
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        # In the copy. Nothing of what it inherited is cleaned up: it's the parent's.
        os.close(reader)
        status = 1
        try:
            _write(writer, _outcome(simulate, log))
            status = 0
        finally:
            os._exit(status)
    os.close(writer)
    with io.FileIO(reader, "rb") as pipe:
        if 0 <= wait < math.inf and not select.select([pipe], [], [], wait)[0]:
            on_waited()
        data = pipe.readall()
    _, status = os.waitpid(pid, 0)
    if status:
        raise CopyDiedError(describe_end(os.waitstatus_to_exitcode(status)))
    try:
        answers = Answers(data or b"")
    except FrameError as error:
        raise CopyDiedError(f"it broke the protocol: {error.message}") from error
    if len(answers) != 1:
        raise CopyDiedError(f"it broke the protocol: it gave {len(answers)} outcomes")
    return lambda builder: builder.take_over(answers)


def _outcome(simulate: Callable[[], Add], log: ModelLog) -> bytes:
    builder = AnswerBuilder()
    try:
        simulate()(builder)
    except UserCodeError as error:
        builder.add_failure(error.failure)
    builder.note(0.0, 0.0, "")
    log.flush()
    return builder.encode()


def _write(fd: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]
