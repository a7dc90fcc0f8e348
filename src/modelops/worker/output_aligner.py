"""Aligning large outputs on the worker that made them, so that only what targets need travels."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from modelops.core.errors import ModelOpsError
from modelops.environments import BundleEnvironment
from modelops.worker.answer_builder import AnswerBuilder
from modelops.worker.answers import Answers
from modelops.worker.child_pool import ChildPool
from modelops.worker.chunks import Function
from modelops.worker.frames import Payload
from modelops.worker.messages import Points

ALIGN_SECONDS = 60.0
"""How long aligning one simulation's tables may take, the import of the targets' code included."""


class OutputAligner:
    """Aligns simulations' tables with targets, in children of its own.

    Never in those that run models: targets' code there would change what a model finds in its
    process, and count against its limits. Whatever goes wrong here is no matter of the simulation:
    its tables go as they are, and whoever evaluates them finds out the same.
    """

    def __init__(self, slots: int, *, beside: ChildPool) -> None:
        """Make it; no process is started before there's something to align.

        Args:
            slots: how many threads call it.
            beside: the pool of the children that run models.
        """
        self._pool = ChildPool(slots, beside=beside)
        self._hopeless: set[tuple[str, tuple[tuple[str, str], ...]]] = set()

    def shortened(
        self,
        answers: Payload,
        large: Sequence[int],
        *,
        function: Function,
        folder: Path,
        packages: BundleEnvironment,
    ) -> tuple[Payload, tuple[int, ...]]:
        """Put the points of targets in the place of large tables.

        Args:
            answers: of simulations, `modelops.worker.answers`.
            large: the positions of those with large outputs.
            function: what was simulated, and with which targets it's aligned.
            folder: the unpacked bundle.
            packages: the environment of the bundle's code.

        Returns:
            The answers, and the positions of those that have points instead of tables.
        """
        key = f"{function.bundle_ref.digest} {packages.digest}"
        if not large or not function.targets or (key, function.targets) in self._hopeless:
            return answers, ()
        try:
            found = Answers(answers)
            with self._pool.child(key, folder, packages) as child:
                points: dict[int, Mapping[str, Payload]] = {}
                for position in large:
                    tables = found.outcome(position, "").tables
                    aligned = child.align(dict(function.targets), tables, ALIGN_SECONDS)
                    if not isinstance(aligned, Points) or aligned.is_final:
                        # It would be in vain, and take its time, with each chunk.
                        self._hopeless.add((key, function.targets))
                        break
                    if aligned.points is not None:
                        points[position] = aligned.points
            return _with_points(found, points) if points else answers, tuple(points)
        except ModelOpsError:
            # The worker closes, or there's no process to be had.
            return answers, ()

    def close(self) -> None:
        """End the children. May be called twice."""
        self._pool.close()


def _with_points(answers: Answers, points: Mapping[int, Mapping[str, Payload]]) -> bytes:
    builder = AnswerBuilder()
    for position, (begun, seconds) in enumerate(zip(answers.begun, answers.seconds, strict=True)):
        if position in points:
            builder.add_tables(
                {
                    target: pa.table({"simulated": np.frombuffer(data, "<f8").astype(np.float64)})
                    for target, data in points[position].items()
                }
            )
        else:
            builder.copy(answers, position)
        builder.note(begun, seconds, answers.log(position))
    return builder.encode()
