"""The Directory resource."""

from pathlib import Path

import pytest

from modelops.core.errors import ProviderError
from modelops.providers.local.plugin import directory


def test_a_folder_is_made_and_found_gone_and_made_again(tmp_path: Path) -> None:
    inputs = {"path": str(tmp_path / "a" / "b")}
    state = directory.make("urn", "data", inputs, {})
    assert (tmp_path / "a" / "b").is_dir()
    assert directory.changes(state, inputs) == []
    (tmp_path / "a" / "b").rmdir()
    gone = directory.refreshed(state)
    assert directory.changes(gone, inputs) == ["exists"]
    assert directory.make("urn", "data", inputs, {})["exists"]


def test_a_folder_that_is_there_keeps_its_files(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("kept")
    directory.make("urn", "data", {"path": str(tmp_path)}, {})
    assert (tmp_path / "data").read_text() == "kept"


def test_a_folder_that_cant_be_made_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ProviderError, match=r"file/below can't be made: Not a directory"):
        directory.make("urn", "data", {"path": str(tmp_path / "file" / "below")}, {})


@pytest.mark.parametrize("inputs", [{}, {"path": "relative"}, {"path": "/a", "mode": 1}])
def test_wrong_inputs_are_named(inputs: dict[str, object]) -> None:
    assert directory.problems(inputs)
