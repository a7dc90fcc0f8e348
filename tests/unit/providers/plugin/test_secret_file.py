"""The SecretFile resource."""

import os
from pathlib import Path
from typing import Any

import pytest

from modelops.core.errors import ProviderError
from modelops.providers.local.plugin import secret_file


def make(path: Path, content: str, old: dict[str, Any] | None = None) -> dict[str, Any]:
    return secret_file.make("urn", "n", {"path": str(path), "content": content}, old or {})


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


@pytest.fixture(autouse=True)
def _open_umask() -> Any:
    before = os.umask(0)
    yield
    os.umask(before)


def test_the_file_and_new_folders_are_for_the_user_alone(tmp_path: Path) -> None:
    state = make(tmp_path / "a" / "b" / "password", "hidden")
    assert (tmp_path / "a" / "b" / "password").read_text() == "hidden"
    assert mode(tmp_path / "a" / "b" / "password") == 0o600
    assert (mode(tmp_path / "a"), mode(tmp_path / "a" / "b")) == (0o700, 0o700)
    assert state["exists"]
    assert "hidden" not in str(state)


def gone(path: Path) -> None:
    path.unlink()


def other_content(path: Path) -> None:
    path.write_text("another")


def other_mode(path: Path) -> None:
    path.chmod(0o644)


def link(path: Path) -> None:
    path.rename(path.with_name("real"))
    path.symlink_to("real")


@pytest.mark.parametrize("change", [gone, other_content, other_mode, link])
def test_what_changed_on_the_machine_is_found_and_mended(tmp_path: Path, change: Any) -> None:
    path = tmp_path / "password"
    inputs = {"path": str(path), "content": "hidden"}
    state = make(path, "hidden")
    assert secret_file.changes(state, inputs) == []
    change(path)
    assert not secret_file.refreshed(state)["exists"]
    assert secret_file.changes(state, inputs) == ["exists"]
    mended = make(path, "hidden", state)
    assert mended == state
    assert not path.is_symlink()
    assert (path.read_text(), mode(path)) == ("hidden", 0o600)


def test_another_content_or_path_is_a_change_and_the_old_file_goes(tmp_path: Path) -> None:
    state = make(tmp_path / "old" / "password", "hidden")
    inputs = {"path": str(tmp_path / "new" / "password"), "content": "other"}
    assert secret_file.changes(state, inputs) == ["path", "content"]
    make(tmp_path / "new" / "password", "other", state)
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_removing_it_keeps_a_folder_with_other_files(tmp_path: Path) -> None:
    first = make(tmp_path / "s" / "first", "hidden")
    second = make(tmp_path / "s" / "second", "hidden")
    secret_file.remove(first)
    assert [path.name for path in (tmp_path / "s").iterdir()] == ["second"]
    secret_file.remove(second)
    assert not (tmp_path / "s").exists()
    secret_file.remove(second)


def test_a_file_that_cant_be_written_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "password").mkdir()
    with pytest.raises(ProviderError, match="password can't be written"):
        make(tmp_path / "password", "hidden")
    assert [path.name for path in tmp_path.iterdir()] == ["password"]


@pytest.mark.parametrize(
    "inputs", [{}, {"path": "a", "content": ""}, {"path": "/a"}, {"path": "/a", "content": 1}]
)
def test_wrong_inputs_are_named(inputs: dict[str, object]) -> None:
    assert secret_file.problems(inputs)
    assert secret_file.problems({"path": "/a", "content": ""}) == {}
