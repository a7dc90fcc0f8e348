"""The Random resource."""

import re

import pytest

from modelops.providers.local.plugin import random_value

NAME = {"length": 8, "kind": "name", "secret": False}
PASSWORD = {"length": 32, "kind": "password", "secret": True}


def test_values_differ_and_are_of_their_alphabet() -> None:
    names = [random_value.make("urn", "n", NAME, {})["value"] for _ in range(100)]
    assert len(set(names)) > 90
    assert all(re.fullmatch(r"[a-z][a-z0-9]{7}", name) for name in names)
    password = random_value.make("urn", "n", PASSWORD, {})["value"]
    assert re.fullmatch(r"[A-Za-z0-9]{32}", password)


def test_a_value_stays_until_an_input_changes() -> None:
    state = random_value.make("urn", "n", PASSWORD, {})
    assert random_value.changes(state, PASSWORD) == []
    assert random_value.make("urn", "n", PASSWORD, state) == state
    assert random_value.foreseen(PASSWORD, state) == {"value": state["value"]}
    longer = {**PASSWORD, "length": 40}
    assert random_value.changes(state, longer) == ["length"]
    assert random_value.foreseen(longer, state) == {}
    assert len(random_value.make("urn", "n", longer, state)["value"]) == 40


def test_a_secret_value_is_a_secret_output() -> None:
    assert random_value.secret_outputs(PASSWORD) == {"value"}
    assert random_value.secret_outputs(NAME) == frozenset()


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"length": 0}, {"length"}),
        ({"length": True}, {"length"}),
        ({"length": 15, "secret": True}, {"length"}),
        ({"kind": "hex"}, {"kind"}),
        ({"secret": "yes", "length": 20}, {"secret"}),
        ({"alphabet": "abc"}, {"alphabet"}),
    ],
)
def test_wrong_inputs_are_named(change: dict[str, object], wrong: set[str]) -> None:
    assert random_value.problems({**NAME, **change}).keys() == wrong
    assert random_value.problems(NAME) == {}
