"""Evaluation of trials in the process that runs a calibration, with the bundle's own targets."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from modelops.worker.messages import EvaluationOutcome
from modelops.worker.warm_child import WarmChild


class BundleEvaluator:
    """Turns the tables of a trial's replicates into its loss.

    The targets' code runs in a warm child: only names and Arrow bytes cross.
    """

    def __init__(self, bundle_dir: Path, targets: Mapping[str, str]) -> None:
        """Make an evaluator.

        Args:
            bundle_dir: the unpacked bundle.
            targets: target id → `module:function` of a function that returns a Target.
        """
        self._targets = dict(targets)
        self._child = WarmChild(bundle_dir)

    def evaluate(
        self, replicates: Sequence[Mapping[str, bytes]], timeout: float | None = None
    ) -> EvaluationOutcome:
        """Return the loss and each target's part of it, or why there is none.

        Args:
            replicates: `SimReturn.tables` of each of the trial's simulations.
            timeout: seconds that it may take.

        Raises:
            ServiceError: if the evaluator is closed.
            ProcessError: if the child's process can't be started.
        """
        return self._child.evaluate(self._targets, replicates, timeout)

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
