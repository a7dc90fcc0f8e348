"""Secrets and unknowns of the stand-in for the Kubernetes plugin."""

from hypothesis import given
from hypothesis import strategies as st
from pulumi.provider.experimental.property_value import PropertyValue

from kubernetes_provider.properties import UNKNOWN, holds_unknown, marked, plain, received, sent
from kubernetes_provider.state import State

_PLAIN = st.dictionaries(
    st.text(st.characters(codec="utf-8"), max_size=3),
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(max_size=3),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
        max_leaves=6,
    ),
)


@given(_PLAIN)
def test_objects_pass_the_wire_unchanged(value):
    assert plain(received(sent(marked(value, {})))) == value


def test_secrets_stay_where_they_were():
    env = PropertyValue([PropertyValue({"value": PropertyValue("s", is_secret=True)})])
    given_ = {
        "spec": PropertyValue(
            {"env": env, "open": PropertyValue("o"), "hidden": PropertyValue("h", is_secret=True)}
        )
    }
    value = {"spec": {"env": [{"value": "s"}], "open": "o", "hidden": "h", "more": 1}}

    spec = marked(value, given_)["spec"]

    assert not spec.is_secret
    secret = {name for name, inner in spec.value.items() if inner.is_secret}
    assert secret == {"env", "hidden"}


def test_a_secrets_data_are_secret_in_outputs_and_inputs():
    secret = {"apiVersion": "v1", "kind": "Secret", "data": {"a": "YQ=="}}

    properties = State(secret, secret, "m", "v1").properties({})

    assert properties["data"].is_secret
    assert properties["__inputs"].value["data"].is_secret
    assert State.of(properties) == State(secret, secret, "m", "v1")


def test_unknowns_are_found_at_any_depth():
    unknown = PropertyValue(UNKNOWN)
    given_ = {"spec": PropertyValue([PropertyValue({"a": unknown})])}

    assert holds_unknown(plain(given_))
    assert plain(received(sent(given_))) == plain(given_)
    assert not holds_unknown({"a": [1, {"b": "text"}]})
