"""Densities against exact arithmetic, against values of 60 digits, and against SciPy."""

import importlib.util
import math
from collections.abc import Callable
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelops.calibration.densities import (
    beta_binomial_nll,
    gaussian_nll,
    negative_binomial_nll,
    poisson_nll,
    stirling_remainder,
)

DIGITS = 60
CLOSE = 1e-12
# Where an outcome is nearly certain, what is left of it is small beside the rounding of the parts.
NEARLY_CERTAIN = 2e-14


def nll(density: Callable[..., Any], *arguments: float) -> float:
    return float(density(*[np.array([argument], dtype=float) for argument in arguments])[0])


def log(value: Fraction) -> Decimal:
    return Decimal(value.numerator).ln() - Decimal(value.denominator).ln()


def rising(start: Fraction, steps: int) -> Fraction:
    """Γ(start + steps) / Γ(start)."""
    return math.prod((start + step for step in range(steps)), start=Fraction(1))


def exact_poisson(count: int, mean: float) -> float:
    with localcontext() as context:
        context.prec = DIGITS
        value = Decimal(mean) + Decimal(math.factorial(count)).ln()
        return float(value - count * Decimal(mean).ln() if count else value)


def exact_negative_binomial(count: int, mean: float, dispersion: float) -> float:
    mu, r = Fraction(mean), Fraction(dispersion)
    with localcontext() as context:
        context.prec = DIGITS
        value = log(Fraction(math.factorial(count))) - log(rising(r, count))
        value -= Decimal(dispersion) * log(r / (r + mu))
        return float(value - count * log(mu / (r + mu)) if count else value)


def exact_beta_binomial(count: int, trials: int, p: float, concentration: float) -> float:
    c = Fraction(concentration)
    a, b = Fraction(p) * c, (1 - Fraction(p)) * c
    likelihood = (
        math.comb(trials, count) * rising(a, count) * rising(b, trials - count) / rising(c, trials)
    )
    with localcontext() as context:
        context.prec = DIGITS
        return float(-log(likelihood))


@given(st.integers(0, 300), st.floats(1e-9, 1e9))
def test_poisson_is_exact(count: int, mean: float) -> None:
    assert nll(poisson_nll, count, mean) == pytest.approx(exact_poisson(count, mean), rel=CLOSE)


@given(st.integers(0, 200), st.floats(1e-6, 1e6), st.floats(1e-9, 1e15))
def test_negative_binomial_is_exact(count: int, mean: float, dispersion: float) -> None:
    expected = exact_negative_binomial(count, mean, dispersion)
    assert nll(negative_binomial_nll, count, mean, dispersion) == pytest.approx(expected, rel=CLOSE)


@given(st.data())
def test_beta_binomial_is_exact(data: st.DataObject) -> None:
    trials = data.draw(st.integers(0, 60))
    count = data.draw(st.integers(0, trials))
    p = data.draw(st.floats(1e-9, 1 - 1e-9))
    concentration = data.draw(st.floats(1e-9, 1e15))
    expected = exact_beta_binomial(count, trials, p, concentration)
    assert nll(beta_binomial_nll, count, trials, p, concentration) == pytest.approx(
        expected, rel=CLOSE, abs=NEARLY_CERTAIN
    )


# The last number of each is the value, computed with 80 digits from the textbook formula.
POISSON = [
    (0, 1e-300, 1e-300),
    (0, 1e9, 1e9),
    (1, 1e-300, 690.77552789821370518),
    (1, 1.0, 1.0),
    (170, 171.5, 3.4939069227682641079),
    (1e6, 1e6 + 1234.5, 8.5880624785959912733),
    (1e6, 1e-3, 19723273.664640306655),
    (1e9, 1e9 - 40000.25, 12.080602786165833968),
    (1e12, 1e12 + 3e6, 19.234440091189280131),
    (3, 1e15, 999999999999898.17543),
]
NEGATIVE_BINOMIAL = [
    (0, 1e-9, 1e-9, 6.9314718055994535259e-10),
    (0, 1e9, 1e9, 693147180.55994530942),
    (1, 1e-9, 1e9, 20.723265837946411095),
    (5, 5.0, 1e-12, 29.240459028390805729),
    (5, 5.0, 1e15, 1.7403021806115466212),
    (170, 300.5, 0.37, 6.8017189456123906432),
    (1e6, 1e6 + 1234.5, 1e-3, 20.730597199887852606),
    (1e6, 1e6 + 1234.5, 250.0, 11.974367087951509378),
    (1e6, 1e6 + 1234.5, 1e15, 8.5880624783339961488),
    (1e9, 1e9 - 4e4, 1e6, 14.735748168072774137),
    (1e12, 1e12 + 3e6, 1e12, 17.331015931466763205),
    (3, 1e12, 1e-6, 14.914162793164682736),
]
BETA_BINOMIAL = [
    (0, 10, 0.25, 1e-9, 0.28768207315902299059),
    (3, 10, 0.25, 1e-9, 23.139179615863928206),
    (10, 10, 0.25, 1e-9, 1.3862943632416168086),
    (3, 10, 0.25, 1e12, 1.3851658477450923543),
    (0, 1000, 1e-6, 2.0, 0.000012972941010970359423),
    (1000, 1000, 0.999999, 2.0, 0.000012972941011343405586),
    (500, 1000, 0.5, 1.0, 7.3598379841882586834),
    (500, 1000, 0.4375, 64.0, 5.5682072821462556844),
    (250000, 1e6, 0.2505, 1e5, 8.2486286202696247547),
    (250000, 1e6, 0.2505, 1e15, 7.6557810658791792995),
    (1e6, 1e6, 0.999, 1e4, 46.156652638787350086),
    (123456789, 1e9, 0.1234, 1e8, 12.722696740649622418),
]


@pytest.mark.parametrize(
    ("density", "cases"),
    [
        (poisson_nll, POISSON),
        (negative_binomial_nll, NEGATIVE_BINOMIAL),
        (beta_binomial_nll, BETA_BINOMIAL),
    ],
)
def test_large_counts_and_the_limits_of_dispersion(
    density: Callable[..., Any], cases: list[tuple[float, ...]]
) -> None:
    for *arguments, expected in cases:
        assert nll(density, *arguments) == pytest.approx(expected, rel=CLOSE, abs=NEARLY_CERTAIN), (
            arguments
        )


@given(st.integers(0, 10**9), st.floats(0, 1e9))
def test_an_infinite_dispersion_is_poisson(count: int, mean: float) -> None:
    assert nll(negative_binomial_nll, count, mean, math.inf) == nll(poisson_nll, count, mean)


@given(st.integers(0, 60), st.data())
def test_an_infinite_concentration_is_binomial(trials: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(0, trials))
    p = data.draw(st.floats(1e-9, 1 - 1e-9))
    likelihood = (
        math.comb(trials, count) * Fraction(p) ** count * (1 - Fraction(p)) ** (trials - count)
    )
    with localcontext() as context:
        context.prec = DIGITS
        expected = float(-log(likelihood))
    assert nll(beta_binomial_nll, count, trials, p, math.inf) == pytest.approx(
        expected, rel=CLOSE, abs=NEARLY_CERTAIN
    )


def test_what_is_certain_and_what_is_impossible() -> None:
    for dispersion in (0.5, 1e9, math.inf):
        assert nll(negative_binomial_nll, 0, 0.0, dispersion) == 0.0
        assert nll(negative_binomial_nll, 2, 0.0, dispersion) == math.inf
    assert nll(poisson_nll, 0, 0.0) == 0.0
    assert nll(poisson_nll, 2, 0.0) == math.inf
    for concentration in (0.5, 1e9, math.inf):
        assert nll(beta_binomial_nll, 0, 5, 0.0, concentration) == 0.0
        assert nll(beta_binomial_nll, 1, 5, 0.0, concentration) == math.inf
        assert nll(beta_binomial_nll, 5, 5, 1.0, concentration) == 0.0
        assert nll(beta_binomial_nll, 4, 5, 1.0, concentration) == math.inf
        assert nll(beta_binomial_nll, 0, 0, 0.3, concentration) == 0.0


def test_probabilities_add_up_to_one() -> None:
    counts = np.arange(2_000.0)
    assert np.exp(-poisson_nll(counts, np.array(40.0))).sum() == pytest.approx(1, rel=1e-13)
    for dispersion in (0.3, 7.0, 1e6):
        of_counts = negative_binomial_nll(counts, np.array(20.0), np.array(dispersion))
        assert np.exp(-of_counts).sum() == pytest.approx(1, rel=1e-12)
    for concentration in (0.3, 7.0, 1e6, math.inf):
        successes = np.arange(41.0)
        of_successes = beta_binomial_nll(
            successes, np.array(40.0), np.array(0.2), np.array(concentration)
        )
        assert np.exp(-of_successes).sum() == pytest.approx(1, rel=1e-13)


@given(st.floats(1e-6, 15.9))
def test_the_remainder_of_stirlings_formula(x: float) -> None:
    # Its own series and the logarithm of Γ meet: δ(x) - δ(x+1) = (x + ½) ln(1 + 1/x) - 1.
    step = (x + 0.5) * math.log1p(1 / x) - 1
    both = stirling_remainder(np.array([x, x + 1]))
    assert both[0] - both[1] == pytest.approx(step, rel=1e-12, abs=2e-14)


def test_densities_are_broadcast() -> None:
    counts, means = np.array([0.0, 3.0, 5e7]), np.array([[1.0, 2.0, 5e7], [0.5, 3.0, 4e7]])
    size = np.array([2.0, math.inf, 1e-3])
    made = negative_binomial_nll(counts, means, size)
    assert made.shape == (2, 3)
    assert made[1].tolist() == [
        nll(negative_binomial_nll, *row) for row in zip(counts, means[1], size, strict=True)
    ]


counts = st.integers(0, 20) | st.integers(0, 10**5)


@pytest.mark.skipif(importlib.util.find_spec("scipy") is None, reason="SciPy isn't installed")
@given(st.data())
def test_they_are_those_of_scipy(data: st.DataObject) -> None:
    """SciPy subtracts large numbers: it is as exact as the largest of them."""
    from scipy import special, stats

    count, trials = sorted((data.draw(counts), data.draw(counts)))
    mean = data.draw(st.floats(1e-3, 1e5))
    size = data.draw(st.floats(1e-3, 1e5))
    p = data.draw(st.floats(1e-3, 0.999))
    x, sigma = data.draw(st.floats(-1e6, 1e6)), data.draw(st.floats(1e-6, 1e6))
    a, b = p * size, (1 - p) * size
    for made, expected, terms in (
        (nll(gaussian_nll, x, mean, sigma), stats.norm.logpdf(x, mean, sigma), [math.log(sigma)]),
        (
            nll(poisson_nll, count, mean),
            stats.poisson.logpmf(count, mean),
            [count * math.log(mean), special.gammaln(count + 1), mean],
        ),
        (
            nll(negative_binomial_nll, count, mean, size),
            stats.nbinom.logpmf(count, size, size / (size + mean)),
            [special.gammaln(count + size), special.gammaln(count + 1), size, count],
        ),
        (
            nll(beta_binomial_nll, count, trials, p, size),
            stats.betabinom.logpmf(count, trials, a, b),
            [special.gammaln(trials + size), special.gammaln(size), size, trials],
        ),
    ):
        largest = max(1.0, *map(abs, terms))
        assert made == pytest.approx(-expected, rel=CLOSE, abs=CLOSE * largest)
