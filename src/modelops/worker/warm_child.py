"""A warm child seen from the worker: simulations and evaluations in, outcomes out."""

import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from modelops.bundles.entry import hold
from modelops.contracts import FailureReason, Outputs, SimFailure, SimReturn, SimStatus, SimTask
from modelops.contracts.execution import Isolation
from modelops.core.errors import BundleError, ServiceError
from modelops.environments import BundleEnvironment
from modelops.worker.answers import Answers
from modelops.worker.child_process import ChildDiedError, ChildProcess, Watch
from modelops.worker.environment import check_requirements
from modelops.worker.frames import Frame, FrameError, encode, joined
from modelops.worker.message_frames import to_answer, to_frame
from modelops.worker.messages import (
    Align,
    Evaluate,
    Evaluated,
    EvaluationOutcome,
    Load,
    Loaded,
    Points,
    Ran,
    Request,
    Run,
)
from modelops.worker.model_log import with_log
from modelops.worker.oom_kills import over_memory
from modelops.worker.run_watch import LATE, BreachError, Late, RunLimits, RunWatch
from modelops.worker.shared_streams import shared

CRASHES_ALLOWED = 3
"""How often a call may end its child before the call itself is called a failure."""
IMPORT_SECONDS = 300.0
"""How long the import of a bundle's module may take."""

_Wanted = TypeVar("_Wanted", Loaded, Ran, Evaluated, Points)


@dataclass(frozen=True)
class Stopped:
    """What ended a child that ran a chunk; no outcome of the chunk is known.

    Attributes:
        position: of the simulation that the child was at.
        failure: how that ended it.
        is_final: whether another try would end alike, as where it passed a limit.
    """

    position: int
    failure: SimFailure
    is_final: bool


class WarmChild:
    """Runs one bundle's code in a child process, which stays for the next call.

    The process starts with the first call, and anew after a call that ended it. Calls from
    several threads wait for each other; `close` doesn't wait, it ends the call under way.
    """

    def __init__(
        self,
        bundle_dir: Path,
        *,
        import_seconds: float = IMPORT_SECONDS,
        environment: Mapping[str, str] | None = None,
        directory: Path | None = None,
        packages: BundleEnvironment | None = None,
        start: Callable[[], ChildProcess] | None = None,
    ) -> None:
        """Make a child.

        Args:
            bundle_dir: the unpacked bundle; one in the cache stays there until `close`.
            import_seconds: how long the import of its module may take.
            environment: all of the process's environment; none means what any child is given.
            directory: where the process works; none means a directory of its own, new with each
                process, with links to the bundle's files.
            packages: what the bundle asks for, made ready; none means that this interpreter has
                to have it all.
            start: gives a process that is started already, in the environment of this one.
        """
        self._bundle_dir = bundle_dir
        interpreter = packages.interpreter if packages else sys.executable
        self._start = start or (lambda: ChildProcess(environment, interpreter=interpreter))
        self._directory = directory
        self._paths = packages.paths if packages else ()
        self._held = hold(bundle_dir)
        self._import_seconds = import_seconds
        self._in_use = threading.Lock()
        self._starting = threading.Lock()
        self._is_closed = False
        self._is_checked = packages is not None
        self._process: ChildProcess | None = None
        self._loaded: set[str] = set()
        self._has_run = False

    @property
    def pid(self) -> int | None:
        """The id of the child's process, if it runs."""
        process = self._process
        return process.pid if process else None

    def load(self, fn_ref: str) -> SimFailure | None:
        """Import what `fn_ref` names; return why it can't be, if so.

        Raises:
            ServiceError: if the child is closed.
            ProcessError: if its process can't be started.
        """
        with self._in_use:
            return self._load(fn_ref)

    def run(
        self,
        request: Run,
        limits: RunLimits | None = None,
        on_late: Late | None = None,
        on_part: Callable[[Ran], None] | None = None,
    ) -> Ran | Stopped | SimFailure:
        """Run a chunk of simulations; whatever their code does comes back.

        Args:
            request: what to run.
            limits: of each simulation.
            on_late: told, from this thread, at which position the child is if it doesn't answer
                within some times its budget. It begins nothing after that one.
            on_part: given, from this thread, what is done when it's late, so that it needn't wait
                for the one that runs; a child that can't tell by then keeps it.

        Returns:
            The outcomes that `on_part` wasn't given, or what ended the child, or why the function
            can't be imported.

        Raises:
            ServiceError: if the child is closed.
            ProcessError: if its process can't be started.
        """
        limits = limits or RunLimits()
        with self._in_use:
            failure = self._load(request.fn_ref)
            if failure:
                return failure
            try:
                process = self._ensure_process()
                process.limit_memory(limits.memory)
                request = replace(request, cgroup=process.cgroup)
                watch = RunWatch(process, limits, budget=request.budget, on_late=on_late)
                if on_part:
                    request = replace(request, part_after=LATE * request.budget)
                ran = self._call(request, watch, Ran)
                while ran.is_part:
                    if on_part is None:
                        raise _broken("nobody asked for a part")
                    on_part(ran)
                    ran = _read(lambda: process.receive(watch), Ran)
            except BreachError as breach:
                stopped = self._breached(breach.position, breach.failure, request.isolation)
                self._drop()
                return stopped
            except ChildDiedError as error:
                stopped = self._crashed(error)
                if limits.memory is not None and self._was_hit():
                    failure = with_log(over_memory(limits.memory), self._log())
                    stopped = self._breached(stopped.position, failure, request.isolation)
                self._drop()
                return stopped
            self._has_run = True
            if ran.is_worn or request.isolation is Isolation.FRESH:
                self._drop()
            return ran

    def simulate(self, task: SimTask, timeout: float | None = None) -> SimReturn:
        """Run one simulation, again each time that it ends its child; see `run`.

        Args:
            task: what to run; its bundle is the one that the child was made for.
            timeout: seconds that the call may take, without the import of its module.

        Raises:
            ServiceError: if the child is closed.
            ProcessError: if its process can't be started.
        """
        started = time.monotonic()
        request = Run(task.fn_ref, b"[%b]" % task.call, task.outputs)
        failure = SimFailure(FailureReason.CRASH, "")
        for _ in range(CRASHES_ALLOWED):
            ran = self.run(request, RunLimits(seconds=timeout))
            if isinstance(ran, SimFailure):
                failure = ran
                break
            if isinstance(ran, Ran):
                if ran.crash is None:
                    return Answers(joined(ran.answers)).outcome(0, task.task_id)
                failure = ran.crash
                continue
            failure = ran.failure
            if ran.is_final:
                break
        else:
            failure = died_too_often(failure)
        seconds = time.monotonic() - started
        return SimReturn(task.task_id, SimStatus.FAILED, failure=failure, seconds=seconds)

    def evaluate(
        self,
        targets: Mapping[str, str],
        trials: Sequence[Sequence[Outputs]],
        timeout: float | None = None,
    ) -> list[EvaluationOutcome]:
        """Compare trials with targets; whatever the code does comes back as a failure.

        Trials that end the process together are evaluated once more, each by itself.

        Args:
            targets: target id → `module:function` of a function that returns a Target.
            trials: of each what its simulations gave: tables, name → Arrow IPC stream, or points.
            timeout: seconds that all may take together, imports included.

        Raises:
            ServiceError: if the child is closed, or the replicates are over a frame's limits.
            ProcessError: if its process can't be started.
        """
        request = Evaluate(targets, *shared(trials))
        with self._in_use:
            evaluated = self._patiently(request, timeout, Evaluated)
        if isinstance(evaluated, Evaluated) and len(evaluated.outcomes) == len(trials):
            return list(evaluated.outcomes)
        if len(trials) > 1:
            return [self.evaluate(targets, [trial], timeout)[0] for trial in trials]
        if isinstance(evaluated, Evaluated):
            raise ServiceError("A child broke the protocol: it evaluated other trials.")
        return [EvaluationOutcome(failure=evaluated)]

    def align(
        self, targets: Mapping[str, str], tables: Mapping[str, bytes], timeout: float
    ) -> Points | SimFailure:
        """Return what one simulation has for the points of targets.

        Args:
            targets: target id → `module:function` of a function that returns a Target.
            tables: the simulation's, name → Arrow IPC stream.
            timeout: seconds that it may take, imports included.

        Returns:
            The points, or how the targets' code ended the process.

        Raises:
            ServiceError: if the child is closed, or the tables are over a frame's limits.
            ProcessError: if the child's process can't be started.
        """
        with self._in_use:
            return self._patiently(Align(targets, tables), timeout, Points)

    def close(self) -> None:
        """End the process, and with it the call under way. May be called twice."""
        with self._starting:
            self._is_closed = True
            if self._process:
                self._process.kill()
        with self._in_use:
            self._drop()
            if self._held:
                self._held.close()

    def _load(self, fn_ref: str) -> SimFailure | None:
        if self._process is not None and fn_ref in self._loaded:
            return None
        loaded = self._patiently(Load(fn_ref), self._import_seconds, Loaded)
        if isinstance(loaded, SimFailure):
            if loaded.reason is FailureReason.BUNDLE:
                return loaded
            message = f"the import of {fn_ref}: {loaded.message}"
            return SimFailure(FailureReason.BUNDLE, message, loaded.details)
        if loaded.failure is None:
            self._loaded.add(fn_ref)
        return loaded.failure

    def _patiently(
        self, request: Request, seconds: float | None, wanted: type[_Wanted]
    ) -> _Wanted | SimFailure:
        """Exchange a request for its answer, again with a new process if it ends its own."""
        crash = SimFailure(FailureReason.CRASH, "")
        for _ in range(CRASHES_ALLOWED):
            try:
                return self._call(request, _deadline(seconds), wanted)
            except BundleError as error:
                return SimFailure(FailureReason.BUNDLE, str(error))
            except DeadlineError as error:
                failure = with_log(SimFailure(FailureReason.TIMEOUT, str(error)), self._log())
                self._drop()
                return failure
            except ChildDiedError as error:
                crash = self._crashed(error).failure
                self._drop()
        return died_too_often(crash)

    def _call(self, request: Request, watch: Watch, wanted: type[_Wanted]) -> _Wanted:
        data = encode(to_frame(request))
        process = self._ensure_process()
        return _read(lambda: process.exchange(data, watch), wanted)

    def _breached(self, position: int, failure: SimFailure, isolation: Isolation) -> Stopped:
        # What others left in the process may be why it has too much.
        is_used = self._has_run or position > 0
        is_shared = is_used and isolation is Isolation.WARM
        is_memory = failure.reason is FailureReason.MEMORY
        return Stopped(position, failure, is_final=not (is_shared and is_memory))

    def _was_hit(self) -> bool:
        """Whether the system has ended a process of the simulation that the child is at."""
        return self._process is not None and self._process.kills > self._process.at.kills

    def _crashed(self, error: ChildDiedError) -> Stopped:
        if self._is_closed:
            raise ServiceError("The child was closed during a call.") from error
        position = max(0, self._process.at.position) if self._process else 0
        failure = with_log(SimFailure(FailureReason.CRASH, error.message), self._log())
        return Stopped(position, failure, is_final=False)

    def _ensure_process(self) -> ChildProcess:
        if not self._is_checked:
            check_requirements(self._bundle_dir)
            self._is_checked = True
        with self._starting:
            if self._is_closed:
                raise ServiceError("The child was closed.")
            if self._process is None:
                process = self._start()
                try:
                    process.open(
                        self._bundle_dir,
                        directory=self._directory,
                        held=[self._held.descriptor] if self._held else [],
                        paths=self._paths,
                    )
                except BaseException:
                    process.close()
                    raise
                self._process = process
            return self._process

    def _log(self) -> str:
        """Return what the model wrote during the call, to be shown with its failure."""
        return self._process.log if self._process else ""

    def _drop(self) -> None:
        with self._starting:
            process, self._process = self._process, None
        self._loaded.clear()
        self._has_run = False
        if process:
            process.close()


class DeadlineError(Exception):
    """The answer wasn't there in time."""


def died_too_often(crash: SimFailure) -> SimFailure:
    """Return the failure of what ended its child as often as is allowed; `crash` is the last."""
    if crash.reason is not FailureReason.CRASH:
        # It passed a limit, in processes that others had used before.
        return crash
    message = f"the model's process died {CRASHES_ALLOWED} times; the last: {crash.message}"
    return replace(crash, message=message)


def _read(receive: Callable[[], Frame], wanted: type[_Wanted]) -> _Wanted:
    try:
        answer = to_answer(receive())
    except FrameError as error:
        raise _broken(error.message) from error
    if not isinstance(answer, wanted):
        raise _broken("that answers another request")
    return answer


def _broken(how: str) -> ChildDiedError:
    return ChildDiedError(f"it broke the protocol: {how}")


def _deadline(seconds: float | None) -> Watch:
    if seconds is None:
        return lambda: None
    end = time.monotonic() + seconds

    def watch() -> float:
        left = end - time.monotonic()
        if left <= 0:
            raise DeadlineError(f"it took longer than {seconds:g} s")
        return left

    return watch
