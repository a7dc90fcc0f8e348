"""The directories that children work in."""

import tempfile
from pathlib import Path
from typing import Any

import pytest

from modelops.worker.scratch import Scratch


def test_a_directory_that_somebody_removed_as_left_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "model.py").touch()
    make, made = tempfile.mkdtemp, []

    def lose_the_first(**options: Any) -> str:
        folder = make(**options)
        if not made:
            Path(folder).rmdir()
        made.append(folder)
        return folder

    monkeypatch.setattr(tempfile, "mkdtemp", lose_the_first)
    with Scratch(tmp_path) as scratch:
        assert (scratch.folder / "model.py").exists()
    assert len(made) == 2
    assert not scratch.folder.exists()
