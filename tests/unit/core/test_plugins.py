"""Plugins: which of several is taken, and what is said of those that are not."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from importlib.metadata import EntryPoint
from typing import Any

import pytest

from modelops.core import plugins
from modelops.core.errors import ProviderError


class Distribution:
    """As much of a distribution as an entry point tells of it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.version = "1.0"


def point(package: str, name: str, target: str) -> EntryPoint:
    made = EntryPoint(name, target, "kind")
    vars(made)["dist"] = Distribution(package)
    return made


def ends_the_process(_loaded: Any) -> None:
    raise SystemExit(3)


@pytest.fixture(autouse=True)
def _each_test_is_warned_anew() -> None:
    plugins._warn.cache_clear()


def install(monkeypatch: pytest.MonkeyPatch, points: Sequence[EntryPoint]) -> None:
    monkeypatch.setattr(
        plugins,
        "entry_points",
        lambda group, name=None: [item for item in points if name in (None, item.name)],
    )


def choose(name: str) -> Any:
    found = plugins.find_plugins("kind", make=lambda loaded: loaded)
    return plugins.choose_plugin(found, name, what="provider", error=ProviderError)


def test_ours_goes_before_anothers_of_the_same_name(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    theirs, ours = point("a-twin", "local", "math:pi"), point("modelops", "local", "math:e")
    for order in ([theirs, ours], [ours, theirs]):
        install(monkeypatch, order)
        assert choose("local") == pytest.approx(2.718, abs=0.001)
    assert [record.getMessage() for record in caplog.records] == [
        (
            "The provider local (math:pi of a-twin 1.0) was skipped: "
            "its name is taken by math:e of modelops 1.0"
        )
    ]


def test_a_broken_one_doesnt_take_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, [point("a", "x", "no_such_module:x"), point("b", "x", "math:pi")])
    assert choose("x") == pytest.approx(3.142, abs=0.001)


def test_a_broken_one_of_another_name_is_named_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    install(monkeypatch, [point("bad", "broken", "no_such_module:x"), point("b", "x", "math:pi")])
    with caplog.at_level(logging.WARNING):
        choose("x")
        choose("x")
    (record,) = caplog.records
    assert "broken (no_such_module:x of bad 1.0) was skipped: ModuleNotFoundError" in (
        record.getMessage()
    )


def test_a_broken_one_that_is_asked_for_is_an_error_with_its_package(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    install(monkeypatch, [point("bad", "broken", "math:no_such_name")])
    with pytest.raises(ProviderError, match=r"(?s)no_such_name.*Reinstall or upgrade bad"):
        choose("broken")
    assert caplog.records == []


def test_one_that_ends_the_process_is_only_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, [point("rude", "x", "math:pi")])
    (found,) = plugins.find_plugins("kind", make=ends_the_process)
    assert found.problem == "SystemExit: 3"
    assert found.made is None


def test_an_unknown_name_lists_those_that_work(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, [point("a", "good", "math:pi"), point("b", "bad", "no_such_module:x")])
    with pytest.raises(ProviderError, match=r"installed are: good\."):
        choose("other")
