"""Running a chunk's simulations, inside the child: one after the other, until its time is up."""

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from modelops.contracts import FailureReason, SimFailure
from modelops.contracts.execution import Isolation
from modelops.worker.answer_builder import AnswerBuilder
from modelops.worker.chunk_outcomes import Add, ChunkOutcomes
from modelops.worker.copied_call import CopyDiedError, call_in_copy
from modelops.worker.frames import FrameError, Payload
from modelops.worker.messages import Ran, Run
from modelops.worker.model_log import ModelLog, with_log
from modelops.worker.oom_kills import OomWatch
from modelops.worker.outputs import select_tables, to_tables
from modelops.worker.progress import Progress
from modelops.worker.rlimits import limit_files, limit_memory
from modelops.worker.user_code import UserCode, UserCodeError

MAX_RESULT_BYTES = 2**29
"""How much one simulation may return."""
_SMALL_BYTES = 2**16
"""Arrays of at most that are copied, which takes less time than to make a table of them."""

_WEARING = frozenset({FailureReason.MEMORY, FailureReason.FILES})
"""After one of these, what it holds on to would fail the next simulations of its process too."""


class Simulator:
    """Runs simulations of one bundle's code."""

    def __init__(
        self, code: UserCode, progress: Progress, log: ModelLog, send: Callable[[Ran], None]
    ) -> None:
        """Make it.

        Args:
            code: the bundle's.
            progress: told of each call.
            log: where what the models write is found.
            send: given what a chunk has done by the time that its request names.
        """
        self._code = code
        self._progress = progress
        self._log = log
        self._send = send
        self._is_used = False

    def run(self, request: Run) -> Ran:
        """Run as many as the budget allows, one at least.

        Raises:
            UserCodeError: if the function can't be imported.
            FrameError: if the request's calls aren't what they should be, or not even the first
                outcome can be sent.
        """
        function = self._code.load(request.fn_ref)
        calls = read_calls(request.calls)
        limit_memory(request.memory)
        limit_files(request.files)
        outcomes = ChunkOutcomes(self._send, self._log.take)
        if len(calls) == 1 or math.isinf(request.part_after):
            return self._run(function, calls, request, outcomes)
        if request.isolation is Isolation.FORK:
            # A copy of a process with threads may wait for ever for what one of them held.
            return self._run(function, calls, request, outcomes, part_after=request.part_after)
        with outcomes.sent_after(request.part_after):
            return self._run(function, calls, request, outcomes)

    def _run(
        self,
        function: Callable[..., Any],
        calls: Sequence[Any],
        request: Run,
        outcomes: ChunkOutcomes,
        part_after: float = math.inf,
    ) -> Ran:
        isolation = request.isolation
        watch = OomWatch(request.cgroup, request.memory)
        for position, (params, seed) in enumerate(calls):
            started = time.monotonic()
            # In both cases the next one waits for another chunk.
            is_up = outcomes.is_full or isolation is Isolation.FRESH
            if position and (is_up or outcomes.seconds > request.budget):
                break
            outcomes.own()
            self._progress.at(position, started, watch.kills)
            try:
                call = partial(self._code.call, function, params, seed)
                simulate = partial(self._simulate, call, request.outputs, watch, started)
                if isolation is Isolation.FORK:
                    wait = part_after - outcomes.seconds
                    add = call_in_copy(simulate, self._log, wait, outcomes.send)
                    # What the copy saw is no matter of the next one.
                    watch.look(started)
                else:
                    add = simulate()
                outcomes.add(add, started)
            except UserCodeError as error:
                is_worn = error.failure.reason in _WEARING and isolation is not Isolation.FORK
                if is_worn and self._is_used:
                    # What others left may be why, so it's tried where nothing is left.
                    return outcomes.end(with_log(error.failure, self._log.take()), is_worn=True)
                outcomes.add_failure(error.failure, started)
                if is_worn:
                    return outcomes.end(is_worn=True)
            except CopyDiedError as error:
                hit = watch.look(started)
                if hit is None:
                    crash = SimFailure(FailureReason.CRASH, str(error), self._log.take())
                    return outcomes.end(crash)
                outcomes.add_failure(hit, started)
            self._is_used = True
        return outcomes.end()

    def _simulate(
        self,
        call: Callable[[], Any],
        outputs: tuple[str, ...],
        watch: OomWatch,
        started: float,
    ) -> Add:
        try:
            value = call()
        except UserCodeError as error:
            hit = watch.look(started)
            if hit is None or error.failure.reason is FailureReason.MEMORY:
                raise
            # The model may have told what became of a process that it had started.
            raise UserCodeError(replace(hit, details=error.failure.details)) from error
        # It may not have noticed, and gone on without what that process should have done.
        if hit := watch.look(started):
            raise UserCodeError(hit)
        return partial(add_value, self._code, value=value, outputs=outputs)


def add_value(
    code: UserCode, builder: AnswerBuilder, *, value: object, outputs: tuple[str, ...]
) -> None:
    """Add what a model returned as its tables.

    Raises:
        UserCodeError: if it isn't a result, or too much.
    """
    if not outputs and (
        builder.add_scalars(value) or builder.add_arrays(value, min(_SMALL_BYTES, MAX_RESULT_BYTES))
    ):
        return
    tables = code.call(_tables, value, outputs)
    size = sum(table.nbytes for table in tables.values())
    if size > MAX_RESULT_BYTES:
        message = f"the result takes {size:,} bytes, over {MAX_RESULT_BYTES:,}"
        raise UserCodeError(SimFailure(FailureReason.OUTPUT, message))
    builder.add_tables(tables)


def _tables(value: object, outputs: tuple[str, ...]) -> dict[str, Any]:
    return select_tables(to_tables(value), outputs)


def read_calls(data: Payload) -> list[Any]:
    """Read a chunk's calls, a list of [parameters, seed].

    Raises:
        FrameError: if it's something else.
    """
    try:
        calls = json.loads(bytes(data))
        is_right = all(isinstance(params, dict) and type(seed) is int for params, seed in calls)
    except (ValueError, TypeError) as error:
        raise FrameError(f"a chunk has no list of calls: {error}") from error
    if not is_right:
        raise FrameError("a chunk has calls with other parameters or seeds")
    return list(calls)
