import enum
import hashlib
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelops.contracts import ContractError, UniqueParameterSet, canonical_json, make_param_id

finite = st.floats(allow_nan=False, allow_infinity=False)
text = st.text(st.characters(exclude_categories=["Cs"]))
scalars = st.booleans() | st.integers() | finite | text
json_values = st.recursive(
    st.none() | scalars,
    lambda inner: st.lists(inner) | st.dictionaries(text, inner),
    max_leaves=6,
)
params = st.dictionaries(text, scalars, max_size=6)


@given(json_values)
def test_canonical_json_is_json_that_means_the_same(value: object) -> None:
    assert json.loads(canonical_json(value)) == value


@given(st.dictionaries(text, json_values, max_size=4))
def test_the_order_of_keys_is_forgotten(value: dict[str, object]) -> None:
    backwards = dict(reversed(list(value.items())))
    assert canonical_json(value) == canonical_json(backwards)


@given(json_values)
def test_canonical_json_of_what_it_wrote_is_the_same(value: object) -> None:
    written = canonical_json(value)
    assert canonical_json(json.loads(written)) == written


def test_separators_non_ascii_and_negative_zero() -> None:
    value = {"b": [1, 2.0, -0.0], "ä": "µ", "a": None}
    assert canonical_json(value) == '{"a":null,"b":[1,2.0,0.0],"ä":"µ"}'.encode()


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_what_json_lacks_is_refused_with_its_place(number: float) -> None:
    with pytest.raises(ContractError, match=r"\$\.a\[1\]"):
        canonical_json({"a": [0, number]})


@pytest.mark.parametrize("value", [{1: 2}, {"a": object()}, {"a": b"x"}, "\ud800"])
def test_what_is_no_json_is_refused(value: object) -> None:
    with pytest.raises(ContractError):
        canonical_json(value)


class Colour(enum.StrEnum):
    RED = "red"


def test_subclasses_are_written_as_their_plain_type() -> None:
    assert canonical_json([Colour.RED, np.float64(0.5)]) == b'["red",0.5]'


def test_param_id_by_hand() -> None:
    by_hand = hashlib.blake2b(
        b'contracts:param:v1|{"beta":0.5,"n":3,"on":true,"scenario":"\xc3\xa4","zero":0.0}',
        digest_size=32,
    ).hexdigest()
    given_params = {"scenario": "ä", "n": 3, "beta": 0.5, "on": True, "zero": -0.0}
    assert make_param_id(given_params) == by_hand


def test_param_id_as_another_tool_computes_it() -> None:
    # printf 'contracts:param:v1|{"beta":0.5}' | b2sum -l 256
    expected = "2f800997d18a62ca1b17cd9a8db5fa185d3210d53749a5d1674b23cc3d2b0d20"
    assert make_param_id({"beta": 0.5}) == expected


@given(params)
def test_param_id_is_64_hex_digits_and_forgets_order(values: dict[str, object]) -> None:
    param_id = make_param_id(values)
    assert len(param_id) == 64
    assert set(param_id) <= set("0123456789abcdef")
    assert make_param_id(dict(reversed(list(values.items())))) == param_id


@given(params, params)
def test_different_parameters_have_different_ids(
    one: dict[str, object], other: dict[str, object]
) -> None:
    assert (make_param_id(one) == make_param_id(other)) == (
        canonical_json(one) == canonical_json(other)
    )


def test_kinds_of_scalars_are_kept_apart() -> None:
    ids = {make_param_id({"a": value}) for value in (1, 1.0, True, "1", "true", "True")}
    assert len(ids) == 6


@pytest.mark.parametrize("value", [math.nan, math.inf, None, [1], {"a": 1}, b"a", 1j])
def test_only_finite_scalars_have_an_id(value: object) -> None:
    with pytest.raises(ContractError, match="'a'"):
        make_param_id({"a": value})


@given(params, st.none() | st.integers(0, 10**6))
def test_a_parameter_set_keeps_its_identity(values: dict[str, object], trial: int | None) -> None:
    made = UniqueParameterSet.from_dict(values, trial)
    assert made.param_id == make_param_id(values)
    assert made == UniqueParameterSet(dict(made.params), made.param_id, trial)
    assert hash(made) == hash(UniqueParameterSet.from_dict(values, trial))


def test_a_wrong_param_id_is_refused() -> None:
    with pytest.raises(ContractError, match="param_id"):
        UniqueParameterSet({"a": 1}, "0" * 64)
