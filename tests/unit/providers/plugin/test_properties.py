"""Between Pulumi's property values and plain ones."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from pulumi.provider.experimental.property_value import Computed, PropertyValue

from modelops.providers.local.plugin.properties import (
    secret_names,
    sendable,
    to_properties,
    to_python,
    unknown,
)

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), PLAIN, max_size=4))
def test_plain_values_come_back_the_same(values: dict[str, Any]) -> None:
    again = to_python(to_properties(values))
    assert again == values
    assert repr(again) == repr(values)


def test_a_secret_stays_marked_however_deep_it_is() -> None:
    properties = {
        "env": PropertyValue({"TOKEN": PropertyValue("t", is_secret=True)}),
        "log": PropertyValue("file"),
    }
    assert secret_names(properties) == {"env"}
    again = to_properties(to_python(properties), secret_names(properties))
    assert again["env"].is_secret
    assert not again["log"].is_secret


def test_what_isnt_known_yet_is_left_out_and_can_be_sent() -> None:
    properties = {"a": PropertyValue([PropertyValue(Computed())]), "b": PropertyValue("known")}
    assert to_python(properties) == {"b": "known"}
    assert sendable(properties)["a"] == PropertyValue([unknown()])
    assert PropertyValue.marshal_map(sendable(properties)) is not None
