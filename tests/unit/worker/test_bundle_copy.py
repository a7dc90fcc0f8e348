from pathlib import Path

import pytest

from modelops.bundles.tree import list_files
from modelops.worker.bundle_copy import BundleCopy


@pytest.fixture
def copy(tmp_path: Path) -> BundleCopy:
    source = tmp_path / "source"
    (source / "data").mkdir(parents=True)
    (source / "model.py").write_text("X = 1\n")
    (source / "data" / "cases.csv").write_text("1\n")
    (source / "run.sh").write_text("")
    (source / "run.sh").chmod(0o700)
    (source / ".env").write_text("SECRET=1\n")
    made = BundleCopy(list_files(source), tmp_path / "copy")
    made.restore()
    return made


def test_it_holds_what_is_packed(copy: BundleCopy) -> None:
    names = {path.relative_to(copy.directory).as_posix() for path in copy.directory.rglob("*")}

    assert {name for name in names if "__pycache__" not in name} == {
        *("model.py", "data", "data/cases.csv", "run.sh")
    }
    assert (copy.directory / "run.sh").stat().st_mode & 0o777 == 0o755
    assert (copy.directory / "model.py").stat().st_mode & 0o777 == 0o644


def test_what_a_model_did_is_known_and_undone(copy: BundleCopy) -> None:
    assert copy.touched() == []
    (copy.directory / "new").mkdir()
    (copy.directory / "new" / "cache.npy").write_text("1")
    (copy.directory / "model.py").write_text("X = 2\n\n")
    (copy.directory / "data" / "cases.csv").unlink()
    (copy.directory / "__pycache__" / "other.pyc").write_text("")

    assert copy.touched() == ["data/cases.csv", "model.py", "new", "new/cache.npy"]
    copy.restore()

    assert copy.touched() == []
    assert not (copy.directory / "new").exists()
    assert (copy.directory / "model.py").read_text() == "X = 1\n"
    assert (copy.directory / "data" / "cases.csv").exists()


def test_bytecode_is_there_or_not(copy: BundleCopy) -> None:
    assert list(copy.directory.rglob("*.pyc"))
    copy.restore(is_compiled=False)
    assert not list(copy.directory.rglob("*.pyc"))
    copy.restore()
    assert list(copy.directory.rglob("*.pyc"))


def test_what_is_not_python_is_left_to_whoever_imports_it(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "template.py").write_text("{{ not }} python\n")
    (source / "warns.py").write_text("X = '\\d'\n")
    BundleCopy(list_files(source), tmp_path / "copy").restore()

    assert (tmp_path / "copy" / "template.py").exists()
    assert capfd.readouterr() == ("", "")
