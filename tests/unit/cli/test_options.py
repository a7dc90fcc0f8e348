"""Global options before and after the command."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelops.cli.options import hoist_global_options


@pytest.mark.parametrize(
    ("given_", "hoisted"),
    [
        (["up", "--env", "prod"], ["--env", "prod", "up"]),
        (["--env", "prod", "up"], ["--env", "prod", "up"]),
        (["up", "--env=prod", "--json"], ["--env=prod", "--json", "up"]),
        (["plan", "-f", "a.yaml", "--preview"], ["-f", "a.yaml", "plan", "--preview"]),
        (["adaptive", "logs", "-f"], ["adaptive", "logs", "-f"]),
        (["adaptive", "logs", "-f", "--config", "a"], ["--config", "a", "adaptive", "logs", "-f"]),
        (["bundle", "push", "--", "--json"], ["bundle", "push", "--", "--json"]),
        (["up", "--env"], ["--env", "up"]),
    ],
)
def test_global_options_move_to_the_front(given_: list[str], hoisted: list[str]) -> None:
    assert hoist_global_options(given_) == hoisted


@given(st.lists(st.sampled_from(["up", "--env", "x", "--json", "-q", "--", "-f", "logs", "--top"])))
def test_nothing_is_lost_and_hoisting_again_changes_nothing(arguments: list[str]) -> None:
    once = hoist_global_options(arguments)
    assert sorted(once) == sorted(arguments)
    assert hoist_global_options(once) == once
