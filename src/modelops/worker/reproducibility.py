"""Whether a model is a function of its parameters and seed: run again and again, and compared."""

import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from modelops.bundles.tree import list_files
from modelops.contracts import FailureReason, SimFailure, SimReturn, SimTask
from modelops.core.errors import BundleFileError
from modelops.worker.bundle_copy import BundleCopy
from modelops.worker.child_environment import child_environment
from modelops.worker.comparison import Difference, compare
from modelops.worker.conditions import AGAIN, CONDITIONS, REFERENCE, Condition, Setting
from modelops.worker.warm_child import WarmChild

_SEEDS = 2**64


@dataclass(frozen=True)
class Finding:
    """A simulation's outcome that isn't the reference's.

    Attributes:
        task: the simulation.
        setting: how it was run.
    """

    task: SimTask
    setting: Setting
    difference: Difference


@dataclass(frozen=True)
class Verdict:
    """What was found under one condition; nothing means that everything was the same."""

    condition: Condition
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class Report:
    """What a check found.

    Attributes:
        verdicts: one for each condition that was tried, `AGAIN` first.
        compared: the simulations that were.
        failed: the compared simulations that fail, and how they do under the reference.
        late: the simulations that took too long under the reference, and so weren't compared.
        touched: files of its directory that the model wrote, changed or removed.
    """

    verdicts: tuple[Verdict, ...]
    compared: tuple[SimTask, ...]
    failed: tuple[tuple[SimTask, SimFailure], ...]
    late: tuple[SimTask, ...]
    touched: tuple[str, ...]

    @property
    def is_same(self) -> bool:
        """Whether nothing differed."""
        return not any(verdict.findings for verdict in self.verdicts)

    @property
    def has_result(self) -> bool:
        """Whether there was any simulation that didn't fail, so that the check says something."""
        return len(self.compared) > len(self.failed)


Progress = Callable[[Condition | None, Setting], None]


def check_model(
    bundle_dir: Path,
    tasks: Sequence[SimTask],
    conditions: Sequence[Condition] = CONDITIONS,
    *,
    timeout: float,
    progress: Progress = lambda *_: None,
) -> Report:
    """Run simulations of one bundle under several conditions and compare each with the reference.

    They run in child processes, in copies of the bundle that hold what is packed of it, one
    process at a time. A difference is a condition's if it's there twice. If it's there once it is
    chance, which is a finding under `AGAIN`. What differs by chance is no other condition's.

    Args:
        bundle_dir: the bundle, which is only read.
        tasks: what to run, no two alike.
        conditions: what to try besides `AGAIN`; those that can't make a difference are left out:
            the order of one simulation, files where none were left.
        timeout: seconds that a simulation may take; its module's import has the workers' limit.
        progress: called before each process starts, without a condition for the reference.

    Raises:
        BundleFileError: if the bundle's files can't be read, or its module not be imported.
        ProcessError: if a child can't be started.
    """
    with tempfile.TemporaryDirectory(prefix="mops-check-") as folder:
        return _Check(bundle_dir, Path(folder), timeout, progress).run(tasks, conditions)


class _Check:
    """One check. Simulations are known by their index in the list of those that are compared."""

    def __init__(self, bundle_dir: Path, folder: Path, timeout: float, progress: Progress) -> None:
        files = list_files(bundle_dir)
        self._here = BundleCopy(files, folder / "bundle")
        self._elsewhere = BundleCopy(files, folder / "at" / "another" / "path", is_backwards=True)
        self._environment = child_environment(os.environ)
        self._timeout = timeout
        self._progress = progress
        self._tasks: list[SimTask] = []
        self._reference: dict[int, SimReturn] = {}
        self._chance: list[Finding] = []

    def run(self, tasks: Sequence[SimTask], conditions: Sequence[Condition]) -> Report:
        late = self._run_reference(tasks)
        touched = self._here.touched()
        verdicts = []
        if self._tasks:
            lasting = self._judge(AGAIN).findings
            self._chance += lasting
            verdicts = [
                self._judge(condition)
                for condition in conditions
                if condition is not AGAIN and self._can_differ(condition, touched)
            ]
            # Last, as the others may have come upon more of it.
            verdicts.insert(0, Verdict(AGAIN, tuple(self._chance)))
        return Report(
            verdicts=tuple(verdicts),
            compared=tuple(self._tasks),
            failed=tuple(
                (self._tasks[index], outcome.failure)
                for index, outcome in self._reference.items()
                if outcome.failure
            ),
            late=tuple(late),
            touched=tuple(touched),
        )

    def _run_reference(self, tasks: Sequence[SimTask]) -> list[SimTask]:
        """Set what is compared, and with what; return the simulations that take too long."""
        late: list[SimTask] = []
        self._tasks = list(tasks)
        while self._tasks:
            self._reference = self._outcomes(None, REFERENCE)
            for outcome in self._reference.values():
                if outcome.failure and _is_bundles(outcome):
                    raise BundleFileError(
                        f"The model can't be run: {outcome.failure.message}",
                        hint=outcome.failure.details,
                    )
            ended = [index for index, outcome in self._reference.items() if _is_late(outcome)]
            if not ended:
                return late
            # Without it and from the start, since the process ended with it.
            late.append(self._tasks.pop(ended[0]))
        self._reference = {}
        return late

    def _can_differ(self, condition: Condition, touched: Sequence[str]) -> bool:
        needs_several = all(setting.is_backwards for setting in condition.settings)
        needs_files = all(setting.keeps_files for setting in condition.settings)
        return not (needs_several and len(self._tasks) < 2) and not (needs_files and not touched)

    def _judge(self, condition: Condition) -> Verdict:
        for setting in condition.settings:
            first = self._findings(condition, setting)
            if not first:
                continue
            second = [item.difference for item in self._findings(condition, setting)]
            lasting = [
                item
                for item in first
                if any(
                    item.difference.is_within(other) or other.is_within(item.difference)
                    for other in second
                )
            ]
            # A machine that was slow once is no chance in the model.
            self._chance += [
                item for item in first if item not in lasting and not item.difference.is_timeout
            ]
            if lasting:
                return Verdict(condition, tuple(lasting))
        return Verdict(condition)

    def _findings(self, condition: Condition, setting: Setting) -> list[Finding]:
        known = [item.difference for item in self._chance]
        return [
            Finding(self._tasks[index], setting, difference)
            for index, outcome in self._outcomes(condition, setting).items()
            for difference in compare(self._reference[index], outcome)
            if not _is_known(difference, known)
        ]

    def _outcomes(self, condition: Condition | None, setting: Setting) -> dict[int, SimReturn]:
        self._progress(condition, setting)
        copy = self._elsewhere if setting.is_elsewhere else self._here
        copy.restore(is_compiled=setting.is_compiled)
        if setting.keeps_files:
            self._run(copy, REFERENCE)
        return self._run(copy, setting)

    def _run(self, copy: BundleCopy, setting: Setting) -> dict[int, SimReturn]:
        """Run the simulations in one new process, up to one that takes too long.

        One whose module can't be imported is the last too: the others would wait as long.
        """
        environment = {**self._environment, **setting.environment}
        # In the bundle's copy itself: what a model leaves in files is a part of what is tried.
        child = WarmChild(copy.directory, environment=environment, directory=copy.directory)
        outcomes: dict[int, SimReturn] = {}
        indexes = range(len(self._tasks))
        try:
            for task in self._tasks if setting.is_warm else ():
                child.simulate(replace(task, seed=(task.seed + 1) % _SEEDS), self._timeout)
            for index in reversed(indexes) if setting.is_backwards else indexes:
                outcome = child.simulate(self._tasks[index], self._timeout)
                outcomes[index] = _without_path(outcome, copy.directory)
                if _is_late(outcome) or _is_bundles(outcome):
                    break
        finally:
            child.close()
        return dict(sorted(outcomes.items()))


def _without_path(outcome: SimReturn, directory: Path) -> SimReturn:
    """Leave out of a failure where the bundle is: the same error is the same at each place."""
    if outcome.failure is None:
        return outcome
    message = outcome.failure.message.replace(str(directory), ".")
    return replace(outcome, failure=replace(outcome.failure, message=message))


def _is_late(outcome: SimReturn) -> bool:
    return outcome.failure is not None and outcome.failure.reason is FailureReason.TIMEOUT


def _is_bundles(outcome: SimReturn) -> bool:
    return outcome.failure is not None and outcome.failure.reason is FailureReason.BUNDLE


def _is_known(difference: Difference, known: Sequence[Difference]) -> bool:
    return any(difference.is_within(other) for other in known)
