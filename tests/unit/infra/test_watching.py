"""What a stack that is brought up waits for is told, and is in the error when it fails."""

import datetime
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from modelops.core.errors import EngineError, ProviderError
from modelops.infra import watching as module
from modelops.infra.watching import watching
from modelops.providers.base import Component, StackPlan

STACK = StackPlan(Component.INFRA, ())


class Seeing:
    """A provider that sees what the test says, look by look; the last goes on for ever."""

    def __init__(self, *looks: tuple[str, ...] | Exception) -> None:
        self._looks = iter(looks)
        self._last: tuple[str, ...] | Exception = ()
        self.since: datetime.datetime | None = None

    def troubles(self, stack: StackPlan, since: datetime.datetime) -> tuple[str, ...]:
        assert stack is STACK
        self.since = since
        self._last = next(self._looks, self._last)
        if isinstance(self._last, Exception):
            raise self._last
        return self._last


class Told(list[str]):
    """The lines that were told; `wait` until there are some."""

    def __init__(self) -> None:
        super().__init__()
        self._changed = threading.Condition()

    def __call__(self, line: str) -> None:
        with self._changed:
            self.append(line)
            self._changed.notify_all()

    def wait(self, count: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self) >= count, timeout=30)


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(module, "_SECONDS", 0.01)
    return iter(())


def seen(provider: Any, count: int) -> Told:
    told = Told()
    with watching(provider, STACK, told):
        told.wait(count)
    return told


def test_what_stays_is_told_once() -> None:
    provider = Seeing(("passing",), ("a",), ("a", "b"), ("a", "b"), ("a", "b"), ("b", "c"))
    assert seen(provider, 3)[:3] == ["a", "b", "c"]
    assert provider.since is not None
    assert provider.since.tzinfo is not None


def test_a_cluster_that_cant_be_asked_is_told_too() -> None:
    assert seen(Seeing(ProviderError("no cluster")), 1)[0] == "no cluster"


def test_the_error_says_what_was_in_the_way() -> None:
    provider = Seeing(("pod p: no image", "known"))
    with pytest.raises(EngineError) as caught, watching(provider, STACK, Told()):
        raise EngineError("it timed out: known", hint="Run it again.")
    assert caught.value.message == "it timed out: known\n  pod p: no image"
    assert caught.value.hint == "Run it again."


def test_an_error_that_nobody_can_explain_stays_as_it_is() -> None:
    error = EngineError("it timed out")
    with pytest.raises(EngineError) as caught, watching(Seeing(), STACK, Told()):
        raise error
    assert caught.value.message == "it timed out"


def test_a_provider_that_sees_nothing_is_left_alone() -> None:
    with pytest.raises(EngineError) as caught, watching(object(), STACK, Told()):  # type: ignore[arg-type]
        raise EngineError("it timed out")
    assert caught.value.message == "it timed out"
