"""Perturbation kernels for ABC: how far a proposal lies from the particle that it comes from.

They are optimal in the sense of Filippi, Barnes, Cornebise and Stumpf (2013, section 3): nearest,
in Kullback-Leibler divergence, to going from a particle to one that the next tolerance accepts. A
choice is kept, or exchanged for any other with the probability that such a pair has different ones,
which is the same criterion.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

# So that a kernel has no direction without a width, also when few particles are accepted.
_RIDGE, _LEAST_VARIANCE = 1e-3, 1e-30
_LEAST_JUMP = 0.05
# Numbers in one block of differences between particles.
_BLOCK = 4_000_000


class Kernel:
    """The kernel of one population of N particles with d parameters, as shares of their ranges."""

    def __init__(
        self,
        points: Array,
        weights: Array,
        accepted: npt.NDArray[np.bool_],
        *,
        choices: Mapping[int, int],
        kind: str,
    ) -> None:
        """Fit the kernel.

        Args:
            points: the particles, N×d; a choice i of k as (i + 1/2) / k.
            weights: theirs; they add up to 1.
            accepted: which of them the next tolerance accepts, at least one.
            choices: which columns are choices, and of how many.
            kind: `multivariate`, `local` or `componentwise`: one covariance for all particles, one
                for each, or one without correlations.
        """
        self._points, self._weights = points, weights
        self._cumulated = np.cumsum(weights) / np.sum(weights)
        self._choices = choices
        self._numbers = [i for i in range(points.shape[1]) if i not in choices]
        kept = np.where(accepted, weights, 0.0)
        kept /= kept.sum()
        covariances = _covariances(points[:, self._numbers], weights, kept, kind)
        # One for each particle, or one.
        self._factors = np.linalg.cholesky(covariances)
        self._inverses = np.linalg.inv(self._factors)
        diagonals = np.diagonal(self._factors, axis1=1, axis2=2)
        self._log_norms = -np.sum(np.log(diagonals), axis=1)
        self._jumps = {
            column: _jump_probability(_indices(points[:, column], size), size, weights, kept)
            for column, size in choices.items()
        }

    def draw(self, rng: np.random.Generator) -> Array:
        """Return a particle, drawn by its weight and moved. It may lie outside of the unit cube."""
        chosen = int(np.searchsorted(self._cumulated, rng.random(), side="right"))
        parent = min(chosen, len(self._weights) - 1)
        moved: Array = self._points[parent].copy()
        factor = self._factors[parent if len(self._factors) > 1 else 0]
        moved[self._numbers] += factor @ rng.standard_normal(len(self._numbers))
        for column, size in self._choices.items():
            jumps, other = rng.random() < self._jumps[column], int(rng.integers(size - 1))
            if jumps:
                index = int(moved[column] * size)
                moved[column] = (other + (other >= index) + 0.5) / size
        return moved

    def log_density(self, points: Array) -> Array:
        """Return with which density `draw` gives each of the points, M×d: its logarithm, up to
        one summand that is the same for all.
        """
        rows = max(1, _BLOCK // max(1, self._points.size))
        blocks = [points[i : i + rows] for i in range(0, len(points), rows)]
        return np.concatenate([self._log_density(block) for block in blocks])

    def _log_density(self, points: Array) -> Array:
        differences = points[None, :, self._numbers] - self._points[:, None, self._numbers]
        scaled = differences @ self._inverses.transpose(0, 2, 1)
        logs = (np.log(self._weights) + self._log_norms)[:, None] - 0.5 * np.sum(scaled**2, axis=2)
        for column, size in self._choices.items():
            jump = self._jumps[column]
            theirs = _indices(self._points[:, column], size)
            same = theirs[:, None] == _indices(points[:, column], size)
            logs += np.where(same, np.log(1 - jump), np.log(jump / (size - 1)))
        # By the largest of each, so that what is far from all particles has a density too.
        largest = logs.max(axis=0)
        result: Array = largest + np.log(np.sum(np.exp(logs - largest), axis=0))
        return result


def _covariances(points: Array, weights: Array, kept: Array, kind: str) -> Array:
    """Return covariances, 1×d×d or N×d×d, of going from a particle to one that is kept."""
    centre = kept @ points
    around = (points - centre).T @ ((points - centre) * kept[:, None])
    steps = centre - points
    outer = steps[:, :, None] * steps[:, None, :]
    whole = around + np.tensordot(weights, outer, axes=1)
    variances = np.diag(np.diag(whole))
    if kind == "componentwise":
        covariances = variances[None]
    elif kind == "multivariate":
        covariances = whole[None]
    else:
        covariances = around[None] + outer
    result: Array = covariances + _RIDGE * variances + _LEAST_VARIANCE * np.eye(len(whole))
    return result


def _jump_probability(
    indices: npt.NDArray[np.int64], size: int, weights: Array, kept: Array
) -> float:
    """Return how probable it is that a particle and one that is kept have different choices."""
    shares = np.bincount(indices, weights, size)
    same = float(shares @ np.bincount(indices, kept, size))
    return min(max(1.0 - same, _LEAST_JUMP), (size - 1) / size)


def _indices(column: Array, size: int) -> npt.NDArray[np.int64]:
    return np.minimum((column * size).astype(np.int64), size - 1)
