"""Finding the programs of others."""

import re
from pathlib import Path

import pytest

from modelops.core.errors import ProviderError
from modelops.core.tools import REGISTRY_VERSION, cached_registry, find_registry, tool_cache


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MODELOPS_TOOLS", str(tmp_path / "tools"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    (tmp_path / "bin").mkdir()
    return tmp_path


def program(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_the_registry_on_the_path_goes_before_the_one_that_was_built(folders: Path) -> None:
    built = program(cached_registry())
    assert built.is_relative_to(folders / "tools")
    assert find_registry() == built
    found = program(folders / "bin" / "registry")
    assert find_registry() == found


def test_without_a_registry_the_error_says_how_to_get_it(folders: Path) -> None:
    with pytest.raises(ProviderError) as caught:
        find_registry()
    assert str(folders / "tools") in caught.value.message
    assert "make registry" in caught.value.hint


def test_the_cache_is_where_make_builds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MODELOPS_TOOLS", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    assert tool_cache() == Path("/cache/modelops/tools")
    pinned = Path(__file__).parents[3] / "tools" / "go.mod"
    wanted = re.search(r"distribution/distribution/v3 v(\S+)", pinned.read_text())
    assert wanted is not None
    assert wanted[1] == REGISTRY_VERSION
