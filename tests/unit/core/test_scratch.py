"""Folders of running commands: gone when they end, swept when they were killed."""

from pathlib import Path

import pytest

from modelops.core.errors import HomeError
from modelops.core.scratch import scratch_folder
from modelops.core.settings import Home


def test_a_folder_is_there_for_as_long_as_its_used(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    with scratch_folder(home) as one, scratch_folder(home) as other:
        assert one != other
        (one / "file").write_text("text")
        assert home.root in one.parents
        assert {one, other} == set(home.scratch.iterdir())
    assert list(home.scratch.iterdir()) == []


def test_what_a_killed_command_left_is_swept_and_what_is_used_isnt(tmp_path: Path) -> None:
    home = Home(tmp_path)
    left = home.scratch / "mops-killed"
    left.mkdir(parents=True)
    (left / "Pulumi.yaml").write_text("name: x")
    with scratch_folder(home) as used:
        assert not left.exists()
        with scratch_folder(home):
            assert used.exists()


def test_a_home_that_cant_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HomeError, match="file"), scratch_folder(Home(tmp_path / "file")):
        pass


def test_down_with_all_data_takes_them_too(tmp_path: Path) -> None:
    assert Home(tmp_path).scratch in Home(tmp_path).shared_paths()
