"""Waiting for runs to begin: what is told meanwhile, and when it's given up."""

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest

from modelops.cli import beginning
from modelops.cli.beginning import await_begun
from modelops.core.errors import RunFailedError
from modelops.providers.health import PartHealth, PartState


class Chain:
    """An environment whose runner is, look by look, as a test says."""

    def __init__(self, *looks: PartHealth) -> None:
        self._looks = iter(looks)

    def health(self, *_: Any, **__: Any) -> tuple[None, Sequence[PartHealth]]:
        return None, (next(self._looks),)


def runner(reason: str, state: PartState = PartState.UNHEALTHY) -> PartHealth:
    return PartHealth("run-first", state, reason)


@pytest.fixture
def journal(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What the journal knows, look by look; the last for ever."""
    known: list[list[str]] = []

    def runs_in(_urls: object) -> Iterator[Any]:
        now = known.pop(0) if len(known) > 1 else known[0]
        return iter([SimpleNamespace(run_id=run_id) for run_id in now])

    monkeypatch.setattr(beginning, "databases", lambda _chain: nullcontext([]))
    monkeypatch.setattr(beginning, "runs_in", runs_in)
    for name in ("_RETRY_SECONDS", "_FIRST_LOOK_SECONDS", "_NEXT_LOOK_SECONDS"):
        monkeypatch.setattr(beginning, name, 0.0)
    return known


def test_each_thing_that_a_runner_waits_for_is_told_once(journal: list[list[str]]) -> None:
    journal += [[], [], [], ["first"]]
    told: list[str] = []

    await_begun(Chain(runner("image"), runner("image"), runner("")), ["first"], told.append)  # type: ignore[arg-type]

    assert told == ["run-first: image"]


def test_a_runner_that_ended_before_is_an_error(journal: list[list[str]]) -> None:
    journal += [[]]
    chain: Any = Chain(runner("no bundle", PartState.DEAD))

    with pytest.raises(RunFailedError, match="hasn't begun: no bundle") as caught:
        await_begun(chain, ["first"], lambda _: None)

    assert "mops adaptive logs --run-id first" in caught.value.hint


def test_it_is_given_up_with_what_is_in_the_way(
    journal: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    journal += [[]]
    monkeypatch.setattr(beginning, "_SECONDS", -1.0)
    chain: Any = Chain(runner("no node has a GPU"))

    with pytest.raises(RunFailedError, match="no node has a GPU"):
        await_begun(chain, ["first"], lambda _: None)


def test_nothing_is_awaited_of_runs_that_are_known(journal: list[list[str]]) -> None:
    journal += [["first", "second"]]
    chain: Any = Chain()
    await_begun(chain, ["second", "first"], lambda _: None)
    await_begun(chain, [], lambda _: None)
