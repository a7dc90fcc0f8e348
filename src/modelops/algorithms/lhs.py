"""Latin hypercube samples (McKay, Beckman and Conover 1979), by SciPy."""

from collections.abc import Iterator

from modelops.algorithms.designs import (
    MAX_REFUSED,
    Design,
    Point,
    generator,
    no_point_allowed,
    qmc_module,
)
from modelops.algorithms.options import check_options, checked_by
from modelops.contracts import AdaptiveAlgorithm, AlgorithmSettings, Scalar, SearchSpace


def check(space: SearchSpace, settings: AlgorithmSettings) -> None:
    """Check that there are no options."""
    check_options(settings.options, {}, "Algorithm lhs")


@checked_by(check)
def create(space: SearchSpace, settings: AlgorithmSettings) -> AdaptiveAlgorithm:
    """Make the algorithm `lhs`: each of `n_trials` equal parts of every range has one trial.

    With constraints, the sample is made so large that they allow `n_trials` of its points; the
    first of those are taken. The parts are then those of the larger sample. It has no options.

    Raises:
        AlgorithmError: if an option is given (then it's a ValueError too), SciPy isn't installed,
            or the constraints allow hardly any point.
    """
    return Design(_points(space, settings), settings.n_trials)


def _points(space: SearchSpace, settings: AlgorithmSettings) -> Iterator[dict[str, Scalar]]:
    wanted = size = settings.n_trials
    while True:
        points = [space.at(point) for point in _sample(space, settings, size)]
        found = [params for params in points if space.allows(params)]
        if len(found) >= wanted:
            return iter(found)
        if size >= MAX_REFUSED * (len(found) + 1):
            raise no_point_allowed(space)
        # As many as were needed at this share of allowed points, and some more.
        size = max(2 * size, int(1.1 * size * wanted / max(len(found), 1))) if found else 4 * size


def _sample(space: SearchSpace, settings: AlgorithmSettings, size: int) -> list[Point]:
    if not space.varied:
        return [()] * size
    engine = qmc_module("lhs").LatinHypercube(len(space.varied), seed=generator(settings.seed))
    points: list[Point] = engine.random(size).tolist()
    return points
