from __future__ import annotations

from pathlib import Path

import pytest

from modelops.core.errors import BundleFileError
from modelops.environments.requirements import read_requirements


def test_all_files_that_have_a_say_are_read(tmp_path: Path) -> None:
    (tmp_path / "requirements").mkdir()
    texts = {
        "requirements.txt": "-r requirements/more.txt\n-c requirements/limits.txt\nseir\n",
        "requirements/more.txt": "-rrest.txt\nnumpy\n",
        "requirements/rest.txt": "pyarrow\n",
        "requirements/limits.txt": "scipy<2\n",
        "pyproject.toml": '[project]\ndependencies = ["pandas"]\n',
        "uv.toml": "",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)

    found = read_requirements(tmp_path)

    assert [str(requirement) for requirement, _ in found.listed] == [
        *("pyarrow", "numpy", "seir", "pandas")
    ]
    assert found.texts == texts
    assert found.sources == ("requirements.txt", "pyproject.toml")
    assert not found.is_locked


def test_a_lock_says_all(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("seir\n")
    (tmp_path / "uv.lock").write_text("version = 1\n")
    # A lock without the project that it is of says nothing.
    assert read_requirements(tmp_path).sources == ("requirements.txt",)

    (tmp_path / "pyproject.toml").write_text('[project]\ndependencies = ["numpy"]\n')
    found = read_requirements(tmp_path)
    assert found.is_locked
    assert [str(requirement) for requirement, _ in found.listed] == ["numpy"]
    assert found.texts.keys() == {"pyproject.toml", "uv.lock"}


@pytest.mark.parametrize("text", ["project = 3\n", "[project]\ndependencies = 'numpy'\n"])
def test_a_project_of_another_shape_is_said(tmp_path: Path, text: str) -> None:
    (tmp_path / "pyproject.toml").write_text(text)

    with pytest.raises(BundleFileError, match="has no list"):
        read_requirements(tmp_path)
