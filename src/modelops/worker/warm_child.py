"""A warm child seen from the worker: simulations and evaluations in, outcomes out."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from modelops.contracts import FailureReason, SimFailure, SimReturn, SimStatus, SimTask
from modelops.core.errors import BundleError, ServiceError
from modelops.worker.child_process import ChildDiedError, ChildProcess, DeadlineError
from modelops.worker.environment import check_requirements
from modelops.worker.frames import FrameError, encode
from modelops.worker.messages import (
    Evaluate,
    EvaluationOutcome,
    Load,
    Loaded,
    Request,
    Simulate,
    to_answer,
    to_frame,
)

CRASHES_ALLOWED = 3
"""How often a call may end its child before the call itself is called a failure."""
IMPORT_SECONDS = 300.0
"""How long the import of a bundle's module may take."""


_Wanted = TypeVar("_Wanted", Loaded, SimReturn, EvaluationOutcome)


class WarmChild:
    """Runs one bundle's code in a child process, which stays for the next call.

    The process starts with the first call, and anew after a call that ended it. Calls from
    several threads wait for each other; `close` doesn't wait, it ends the call under way.
    """

    def __init__(self, bundle_dir: Path, *, import_seconds: float = IMPORT_SECONDS) -> None:
        self._bundle_dir = bundle_dir
        self._import_seconds = import_seconds
        self._in_use = threading.Lock()
        self._starting = threading.Lock()
        self._is_closed = False
        self._is_checked = False
        self._process: ChildProcess | None = None
        self._loaded: set[str] = set()

    @property
    def pid(self) -> int | None:
        """The id of the child's process, if it runs."""
        process = self._process
        return process.pid if process else None

    def simulate(self, task: SimTask, timeout: float | None = None) -> SimReturn:
        """Run a simulation; whatever its code does comes back as a failure.

        Args:
            task: what to run; its bundle is the one that the child was made for.
            timeout: seconds that the call may take, without the import of its module.

        Raises:
            ServiceError: if the child is closed.
            ProcessError: if its process can't be started.
        """
        started = time.monotonic()
        outcome = self._attempt(lambda: self._simulate_once(task, timeout))
        if isinstance(outcome, SimReturn):
            return outcome
        seconds = time.monotonic() - started
        return SimReturn(task.task_id, SimStatus.FAILED, failure=outcome, seconds=seconds)

    def evaluate(
        self,
        targets: Mapping[str, str],
        replicates: Sequence[Mapping[str, bytes]],
        timeout: float | None = None,
    ) -> EvaluationOutcome:
        """Compare simulations with targets; whatever the code does comes back as a failure.

        Args:
            targets: target id → `module:function` of a function that returns a Target.
            replicates: the tables of each simulation, name → Arrow IPC stream.
            timeout: seconds that it may take, imports included.

        Raises:
            ServiceError: if the child is closed, or the replicates are over a frame's limits.
            ProcessError: if its process can't be started.
        """
        request = Evaluate(targets, tuple(replicates))
        outcome = self._attempt(lambda: self._call(request, timeout, EvaluationOutcome))
        if isinstance(outcome, EvaluationOutcome):
            return outcome
        return EvaluationOutcome(failure=outcome)

    def close(self) -> None:
        """End the process, and with it the call under way. May be called twice."""
        with self._starting:
            self._is_closed = True
            if self._process:
                self._process.kill()
        with self._in_use:
            self._drop()

    def _attempt(self, call: Callable[[], _Wanted | SimFailure]) -> _Wanted | SimFailure:
        """Make a call, again with a new process each time that it kills its own."""
        with self._in_use:
            crash = SimFailure(FailureReason.CRASH, "")
            for _ in range(CRASHES_ALLOWED):
                try:
                    return call()
                except BundleError as error:
                    return SimFailure(FailureReason.BUNDLE, str(error))
                except ChildDiedError as error:
                    if self._is_closed:
                        raise ServiceError("The child was closed during a call.") from error
                    crash = replace(crash, message=error.message, details=self._log())
                    self._drop()
            message = f"the model's process died {CRASHES_ALLOWED} times; the last: {crash.message}"
            return replace(crash, message=message)

    def _simulate_once(self, task: SimTask, timeout: float | None) -> SimReturn | SimFailure:
        self._ensure_process()
        if task.fn_ref not in self._loaded:
            loaded = self._call(Load(task.fn_ref), self._import_seconds, Loaded)
            if isinstance(loaded, SimFailure):
                return SimFailure(
                    FailureReason.BUNDLE,
                    f"the import of {task.fn_ref}: {loaded.message}",
                    loaded.details,
                )
            if loaded.failure:
                return loaded.failure
            self._loaded.add(task.fn_ref)
        outcome = self._call(Simulate(task), timeout, SimReturn)
        if isinstance(outcome, SimReturn) and outcome.task_id != task.task_id:
            raise ChildDiedError("it answered another task than the one it was given")
        return outcome

    def _call(
        self, request: Request, seconds: float | None, wanted: type[_Wanted]
    ) -> _Wanted | SimFailure:
        """Exchange one request for its answer; a timeout comes back as a failure."""
        data = encode(to_frame(request))
        process = self._ensure_process()
        deadline = None if seconds is None else time.monotonic() + seconds
        try:
            answer = to_answer(process.exchange(data, deadline))
        except DeadlineError:
            failure = SimFailure(
                FailureReason.TIMEOUT, f"it took longer than {seconds:g} s", self._log()
            )
            self._drop()
            return failure
        except FrameError as error:
            raise ChildDiedError(f"it broke the protocol: {error.message}") from error
        if not isinstance(answer, wanted):
            raise ChildDiedError("it broke the protocol: that answers another request")
        if answer.failure:
            details = "\n".join(part for part in (answer.failure.details, self._log()) if part)
            return replace(answer, failure=replace(answer.failure, details=details))
        return answer

    def _ensure_process(self) -> ChildProcess:
        if not self._is_checked:
            check_requirements(self._bundle_dir)
            self._is_checked = True
        with self._starting:
            if self._is_closed:
                raise ServiceError("The child was closed.")
            if self._process is None:
                self._process = ChildProcess(self._bundle_dir)
            return self._process

    def _log(self) -> str:
        """Return what the model wrote during the call, to be shown with its failure."""
        text = self._process.log if self._process else ""
        return f"The model wrote:\n{text}" if text else ""

    def _drop(self) -> None:
        with self._starting:
            process, self._process = self._process, None
        self._loaded.clear()
        if process:
            process.close()
