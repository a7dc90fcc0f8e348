"""Which targets a file has; its code isn't run for that."""

from pathlib import Path

import pytest

from modelops.analysis.target_file import TargetFile
from modelops.core.errors import UsageError

MARKED = """
from modelops.calibration import target

raise SystemExit("nobody may import this")


@target
def one():
    ...


@target("second")
def two():
    ...
"""


def test_targets_are_found_without_an_import(tmp_path: Path) -> None:
    (tmp_path / "other.py").write_text(MARKED)
    found = TargetFile.read(tmp_path / "other.py")
    assert found.folder == tmp_path
    assert found.targets == {"one": "other:one", "second": "other:two"}


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("gone.py", None, "There is no file"),
        ("none.py", "def one(): ...", "no function that is marked @target"),
        (
            "broken.py",
            "from modelops.calibration import target\ndef one(:",
            "this isn't valid Python",
        ),
        ("not-a-name.py", MARKED, "no module can have this path"),
    ],
)
def test_what_has_no_targets_is_refused(
    tmp_path: Path, name: str, content: str | None, words: str
) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(UsageError, match=words):
        TargetFile.read(tmp_path / name)
