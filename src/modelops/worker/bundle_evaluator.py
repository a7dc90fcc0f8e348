"""Evaluation of trials in the process that runs a calibration, with the bundle's own targets."""

import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from modelops.contracts import Outputs
from modelops.core.errors import ModelOpsError
from modelops.environments import BundleEnvironment
from modelops.worker.messages import EvaluationOutcome
from modelops.worker.warm_child import WarmChild


class BundleEvaluator:
    """Turns the tables of trials' replicates into their losses.

    The targets' code runs in a warm child: only names and Arrow bytes cross. It starts at once, so
    that it's ready when the first simulations have ended.
    """

    def __init__(
        self,
        bundle_dir: Path,
        targets: Mapping[str, str],
        packages: BundleEnvironment | None = None,
        directory: Path | None = None,
    ) -> None:
        """Make an evaluator.

        Args:
            bundle_dir: the unpacked bundle.
            targets: target id → `module:function` of a function that returns a Target.
            packages: what the bundle asks for, made ready; none means that this interpreter has to
                have it all.
            directory: where the targets' code works; none means a directory of its own, with links
                to the bundle's files.
        """
        self._targets = dict(targets)
        self._child = WarmChild(bundle_dir, packages=packages, directory=directory)
        threading.Thread(target=self._start, name="evaluator", daemon=True).start()

    def evaluate(
        self, trials: Sequence[Sequence[Outputs]], timeout: float | None = None
    ) -> list[EvaluationOutcome]:
        """Return of each trial the loss and each target's part of it, or why there is none.

        Args:
            trials: of each `SimReturn.outputs` of each of its simulations.
            timeout: seconds that all may take together.

        Raises:
            ServiceError: if the evaluator is closed.
            ProcessError: if the child's process can't be started.
        """
        return self._child.evaluate(self._targets, trials, timeout)

    def _start(self) -> None:
        # Whatever is wrong is said when it's used.
        with suppress(ModelOpsError):
            for fn_ref in self._targets.values():
                self._child.load(fn_ref)

    def close(self) -> None:
        """End the child. May be called twice."""
        self._child.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
