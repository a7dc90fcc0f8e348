"""Negative log-densities, to the last digits also where counts are large.

The textbook formulas subtract logarithms of gamma functions that are far larger than their
difference: at counts of a million nine digits of it are left, at 10⁹ six. Here every density is a
sum of deviances (not negative, each exact to rounding) and of remainders of Stirling's formula,
after C. Loader, "Fast and Accurate Computation of Binomial Probabilities" (2000). The same is done
here for the beta-binomial distribution: with the pooled probability P = (k+a)/(n+c) the logarithms
of its three beta functions make four deviances.

All functions take arrays that can be broadcast, and return the density's negative natural
logarithm, infinity where the density is 0.
"""

import math

import numpy as np

from modelops.calibration.frames import FloatArray

_HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)

# B(2j)/(2j(2j-1)), the coefficients of Stirling's series in 1/x, 1/x³, …
_STIRLING = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360)
_STIRLING_FROM = 16.0
"""From here on the series' first term that is left out is below 1e-17."""

_NEAR = 0.1
"""Below this relative difference a deviance is summed as a series; nine terms are enough."""


@np.errstate(all="ignore")
def gaussian_nll(observed: FloatArray, mean: FloatArray, sigma: FloatArray) -> FloatArray:
    """Return (x - μ)²/2s² + ln s + ln √2π, with the standard deviation s."""
    return 0.5 * np.square((observed - mean) / sigma) + np.log(sigma) + _HALF_LOG_2PI


@np.errstate(all="ignore")
def poisson_nll(count: FloatArray, mean: FloatArray) -> FloatArray:
    """Return μ - k ln μ + ln k!."""
    return _deviance(count, mean, mean - count) + _log_factorial_scale(count)


@np.errstate(all="ignore")
def negative_binomial_nll(
    count: FloatArray, mean: FloatArray, dispersion: FloatArray
) -> FloatArray:
    """Return that of counts with mean μ and variance μ + μ²/r; of a Poisson's if r is infinite."""
    size = np.where(np.isinf(dispersion), 1.0, dispersion)
    total = count + size
    share = size / (size + mean)
    difference = share * (mean - count)
    some = (
        _deviance(count, total * (mean / (size + mean)), difference)
        + _deviance(size, total * share, -difference)
        + _log_factorial_scale(count)
        + stirling_remainder(size)
        - stirling_remainder(total)
        + 0.5 * np.log1p(count / size)
    )
    none = size * np.log1p(mean / size)
    finite = np.where(count == 0, none, some)
    return np.where(np.isinf(dispersion), poisson_nll(count, mean), finite)


@np.errstate(all="ignore")
def beta_binomial_nll(
    count: FloatArray, trials: FloatArray, probability: FloatArray, concentration: FloatArray
) -> FloatArray:
    """Return that of k of n with a probability from Beta(pc, (1-p)c); if c is infinite, p itself.

    The mean is np, the variance np(1-p)(n+c)/(1+c).
    """
    fixed = np.isinf(concentration)
    c = np.where(fixed, 1.0, concentration)
    rest = trials - count
    a, b = probability * c, (1 - probability) * c
    total = trials + c
    pooled = np.where(fixed, probability, (count + a) / total)
    others = np.where(fixed, 1 - probability, (rest + b) / total)
    # That is np - k, with its digits where either is nearly n.
    excess = rest * probability - count * (1 - probability)
    difference = excess * np.where(fixed, 1.0, c / total)
    choice = (
        _deviance(count, trials * pooled, difference)
        + _deviance(rest, trials * others, -difference)
        + _log_choice_scale(count, trials)
    )
    # The rest of it is that of the probability's own distribution.
    spread = (
        _deviance(a, c * pooled, -difference)
        + _deviance(b, c * others, difference)
        + (stirling_remainder(a) - stirling_remainder(count + a))
        + (stirling_remainder(b) - stirling_remainder(rest + b))
        + (stirling_remainder(total) - stirling_remainder(c))
        + 0.5 * (np.log1p(count / a) + np.log1p(rest / b) - np.log1p(trials / c))
    )
    result = np.where(fixed, choice, choice + spread)
    # One outcome only is possible where the probability is 0 or 1, or all but that.
    result = np.where(a == 0, np.where(count == 0, 0.0, np.inf), result)
    return np.where(b == 0, np.where(rest == 0, 0.0, np.inf), result)


@np.errstate(all="ignore")
def stirling_remainder(x: FloatArray) -> FloatArray:
    """Return ln Γ(x) - ((x - ½) ln x - x + ln √2π), for positive x."""
    inverse = 1 / x
    square = inverse * inverse
    series = np.full_like(inverse, _STIRLING[-1])
    for coefficient in _STIRLING[-2::-1]:
        series = series * square + coefficient
    result = np.asarray(series * inverse)
    small = x < _STIRLING_FROM
    if small.any():
        # NumPy has no logarithm of Γ. Where x is 0 nobody uses what comes out.
        below = np.maximum(x[small], np.finfo(np.float64).tiny)
        log_gamma = np.array([math.lgamma(value) for value in below.tolist()])
        result[small] = log_gamma - ((below - 0.5) * np.log(below) - below + _HALF_LOG_2PI)
    return result


def _deviance(x: FloatArray, mean: FloatArray, difference: FloatArray) -> FloatArray:
    """Return x ln(x/m) + m - x, which isn't negative; nor are x and the mean m.

    The difference m - x is given, since it mostly can be had with more digits than m and x have.
    """
    ratio = difference / (x + mean)
    square = ratio * ratio
    series = square * (1 / 19)
    for odd in range(17, 1, -2):
        series = (series + 1 / odd) * square
    near = ratio * (difference - 2 * x * series)
    far = x * np.log(x / mean) + difference
    result = np.where(np.abs(ratio) < _NEAR, near, far)
    return np.where(x == 0, mean, result)


def _log_factorial_scale(count: FloatArray) -> FloatArray:
    """Return ln k! - (k ln k - k), 0 for 0."""
    scale = 0.5 * np.log(count) + _HALF_LOG_2PI + stirling_remainder(count)
    return np.where(count == 0, 0.0, scale)


def _log_choice_scale(count: FloatArray, trials: FloatArray) -> FloatArray:
    """Return -ln of n over k, less its entropy: -(k ln(k/n) + (n-k) ln((n-k)/n))."""
    rest = trials - count
    scale = (
        0.5 * np.log(count * (rest / trials))
        + _HALF_LOG_2PI
        + (stirling_remainder(count) + stirling_remainder(rest) - stirling_remainder(trials))
    )
    return np.where((count == 0) | (rest == 0), 0.0, scale)
