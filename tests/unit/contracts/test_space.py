"""Points of a search space."""

import itertools
import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelops.contracts import (
    CategoricalParameter,
    FixedParameter,
    FloatParameter,
    IntParameter,
    SearchSpace,
)


def test_the_middle_of_a_space_is_in_it() -> None:
    space = SearchSpace(
        {
            "a": FloatParameter(-1.0, 3.0),
            "b": FloatParameter(0.01, 100.0, log=True),
            "c": IntParameter(1, 4),
            "d": IntParameter(1, 10_000, log=True),
            "e": CategoricalParameter(("x", "y")),
            "f": FixedParameter(True),
            "g": FloatParameter(1e308, 1.5e308),
        }
    )
    middle = space.middle()
    assert middle == {"a": 1.0, "b": 1.0, "c": 2, "d": 100, "e": "x", "f": True, "g": 1.25e308}
    assert list(middle) == list(space.parameters)
    assert isinstance(middle["c"], int)


SHARES = st.floats(0, 1, exclude_max=True)


@given(SHARES, st.integers(-(10**30), 10**30), st.integers(0, 10**30))
def test_a_whole_number_at_a_share_is_within_its_bounds(share: float, low: int, width: int) -> None:
    value = SearchSpace({"n": IntParameter(low, low + width)}).at([share])["n"]
    assert type(value) is int
    assert low <= value <= low + width


@given(SHARES, st.integers(1, 10**9), st.integers(0, 10**9), st.booleans())
def test_a_share_keeps_to_the_bounds(share: float, low: int, width: int, log: bool) -> None:
    space = SearchSpace(
        {
            "n": IntParameter(low, low + width, log=log),
            "x": FloatParameter(float(low), float(low + width), log=log),
        }
    )
    for value in space.at([share, share]).values():
        assert low <= float(value) <= low + width


def test_a_point_of_the_unit_cube_has_a_share_for_each_parameter_that_varies() -> None:
    space = SearchSpace(
        {
            "a": FloatParameter(-1.0, 3.0),
            "fixed": FixedParameter("yes"),
            "b": FloatParameter(0.01, 100.0, log=True),
            "c": IntParameter(1, 4),
            "d": CategoricalParameter(("x", 1, True)),
        }
    )
    assert space.varied == ("a", "b", "c", "d")
    point = space.at([0.25, 0.75, 0.5, 0.99])
    assert point.pop("b") == pytest.approx(10.0)
    assert point == {"a": 0.0, "fixed": "yes", "c": 3, "d": True}
    with pytest.raises(ValueError, match="argument"):
        space.at([0.5])


def test_whole_numbers_on_a_logarithmic_scale_have_shares_of_that_scale() -> None:
    space = SearchSpace({"n": IntParameter(1, 3, log=True)})
    counts = Counter(space.at([i / 10_000])["n"] for i in range(10_000))
    whole = math.log(3.5 / 0.5)
    expected = {n: math.log((n + 0.5) / (n - 0.5)) / whole for n in (1, 2, 3)}
    for n, share in expected.items():
        assert counts[n] / 10_000 == pytest.approx(share, abs=1e-3)


def test_draws_are_the_same_each_time_and_follow_the_seed() -> None:
    space = SearchSpace({"a": FloatParameter(0.0, 1.0), "n": IntParameter(1, 9)})
    first, again, other = (list(itertools.islice(space.draws(seed), 5)) for seed in (1, 1, 2))
    assert first == again != other
