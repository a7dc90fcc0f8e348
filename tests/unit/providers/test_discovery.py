"""Finding providers; a broken one is named."""

from importlib.metadata import EntryPoint

import pytest

from modelops.core import plugins
from modelops.core.errors import ProviderError
from modelops.providers import discovery
from modelops.providers.local.provider import LocalProvider


def test_the_local_provider_is_found_by_its_entry_point() -> None:
    assert isinstance(discovery.find_provider("local"), LocalProvider)


def test_an_unknown_provider_is_an_error_with_a_near_miss() -> None:
    with pytest.raises(ProviderError, match="Did you mean `local`"):
        discovery.find_provider("locale")


def test_a_broken_provider_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def entry_points(group: str, _name: str | None) -> list[EntryPoint]:
        return [EntryPoint("broken", "no_such_module:Provider", group)]

    monkeypatch.setattr(plugins, "entry_points", entry_points)
    with pytest.raises(ProviderError, match=r"(?s)no_such_module:Provider.*ModuleNotFoundError"):
        discovery.find_provider("broken")


def test_what_is_no_provider_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def entry_points(group: str, _name: str | None) -> list[EntryPoint]:
        return [EntryPoint("dict", "builtins:dict", group)]

    monkeypatch.setattr(plugins, "entry_points", entry_points)
    with pytest.raises(ProviderError, match="it lacks name, shared_plugins, refreshes"):
        discovery.find_provider("dict")
