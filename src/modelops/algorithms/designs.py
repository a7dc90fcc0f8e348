"""Designs: points that are laid out beforehand, whatever the losses turn out to be."""

import importlib
import importlib.util
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from modelops.algorithms.trial_ledger import TrialLedger
from modelops.contracts import Scalar, SearchSpace, TrialResult, UniqueParameterSet
from modelops.core.errors import AlgorithmError

MAX_REFUSED = 100_000
"""How many points in a row the constraints may refuse before the search for one is given up."""

Point = Sequence[float]
"""A share in [0, 1) for each parameter that varies."""


class Design:
    """A sequence of points as an AdaptiveAlgorithm: the results change nothing."""

    def __init__(self, points: Iterable[dict[str, Scalar]], n_trials: int) -> None:
        """Take the first `n_trials` of `points`, which has as many."""
        self._points = iter(points)
        self._n_trials = n_trials
        self._ledger = TrialLedger()

    def ask(self, n: int) -> list[UniqueParameterSet]:
        """Return the next points, until there were `n_trials` of them."""
        asked = []
        for _ in range(min(n, self._n_trials - self._ledger.asked)):
            parameters = UniqueParameterSet.from_dict(next(self._points), trial=self._ledger.asked)
            self._ledger.add(parameters)
            asked.append(parameters)
        return asked

    def tell(self, results: Sequence[TrialResult]) -> None:
        """Check the results, and forget them."""
        self._ledger.new_results(results)

    def finished(self) -> bool:
        """Return whether all points were asked."""
        return self._ledger.asked >= self._n_trials


def allowed(space: SearchSpace, points: Iterable[Point]) -> Iterator[dict[str, Scalar]]:
    """Yield the parameters at those points of the unit cube that the constraints allow.

    Raises:
        AlgorithmError: if MAX_REFUSED points in a row are refused.
    """
    refused = 0
    for point in points:
        params = space.at(point)
        if space.allows(params):
            refused = 0
            yield params
        elif (refused := refused + 1) >= MAX_REFUSED:
            raise no_point_allowed(space)


def no_point_allowed(space: SearchSpace) -> AlgorithmError:
    """Return the error that MAX_REFUSED points in a row were refused."""
    constraints = "; ".join(constraint.text for constraint in space.constraints)
    return AlgorithmError(
        f"Of {MAX_REFUSED:,} points of the space in a row, the constraints allow none: "
        f"{constraints}.",
        hint="Narrow the ranges to where the constraints hold, or let the model compute one "
        "parameter from the others.",
    )


def qmc_module(algorithm: str) -> Any:
    """Return scipy.stats.qmc, which takes long to import.

    Raises:
        AlgorithmError: if SciPy isn't installed.
    """
    if not importlib.util.find_spec("scipy"):
        raise AlgorithmError(
            f"Algorithm {algorithm} needs scipy, which isn't installed.",
            hint='Install it with: pip install "modelops[qmc]"',
        )
    return importlib.import_module("scipy.stats.qmc")


def generator(seed: int) -> Any:
    """Return NumPy's generator of that seed; NumPy is imported now."""
    return importlib.import_module("numpy.random").default_rng(seed)


def points_in_blocks(engine: Any, size: int) -> Iterator[Point]:
    """Yield the points of an engine of scipy.stats.qmc, drawn `size` at a time.

    A point doesn't depend on `size`. Where it's a power of two, the engine for Sobol's sequence
    doesn't warn.
    """
    while True:
        yield from engine.random(size).tolist()
