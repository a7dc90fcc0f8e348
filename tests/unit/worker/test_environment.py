from importlib import metadata
from pathlib import Path

import pytest

from modelops.core.errors import BundleError, BundleFileError
from modelops.worker.environment import check_requirements

NUMPY = metadata.version("numpy")


def _bundle(folder: Path, requirements: str, **others: str) -> Path:
    (folder / "requirements.txt").write_text(requirements)
    for name, text in others.items():
        (folder / f"{name}.txt").write_text(text)
    return folder


def test_a_bundle_without_requirements_asks_for_nothing(tmp_path: Path) -> None:
    check_requirements(tmp_path)


def test_what_is_installed_is_enough(tmp_path: Path) -> None:
    text = f"""
        # a comment
        --index-url https://example.org/simple
        NumPy == {NUMPY}   # the array library
        pyarrow >= 1, \\
            < 10000 --hash=sha256:00
        fsspec
        absent-on-this-system; sys_platform == "amiga"
        -r more.txt
        -c constraints.txt
    """

    check_requirements(_bundle(tmp_path, text, more="packaging\n-r requirements.txt\n"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("no-such-distribution>=1", "no-such-distribution isn't installed"),
        ("numpy<1", f"numpy {NUMPY} is installed"),
        ("numpy\nnumpy<1; python_version > '3'", f"numpy {NUMPY} is installed"),
        ("-r more.txt", "no-such-distribution isn't installed"),
        ("no-such-distribution @ https://example.org/x.whl", "isn't installed"),
    ],
)
def test_an_unmet_requirement_is_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(BundleError) as caught:
        check_requirements(_bundle(tmp_path, text, more="no-such-distribution"))

    assert said in caught.value.message
    assert "install it into this Python's environment" in caught.value.hint


def test_what_an_extra_asks_for_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = tmp_path / "site" / "seir-1.0.dist-info"
    installed.mkdir(parents=True)
    (installed / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: seir\nVersion: 1.0\nProvides-Extra: fast\n"
        "Requires-Dist: numpy\nRequires-Dist: no-such-distribution; extra == 'fast'\n"
    )
    monkeypatch.syspath_prepend(tmp_path / "site")

    check_requirements(_bundle(tmp_path, "seir"))
    with pytest.raises(BundleError, match="its extra fast asks for no-such-distribution"):
        check_requirements(_bundle(tmp_path, "seir[fast]"))


@pytest.mark.parametrize(
    "text", ["-e .", "./wheels/a.whl", "numpy >>> 2", "-r ../outside.txt", "-r absent.txt"]
)
def test_what_cannot_be_checked_is_said(tmp_path: Path, text: str) -> None:
    with pytest.raises(BundleFileError):
        check_requirements(_bundle(tmp_path, text))


def test_the_dependencies_of_a_project_count_too(tmp_path: Path) -> None:
    project = tmp_path / "pyproject.toml"
    project.write_text('[project]\nname = "m"\ndependencies = ["numpy", "no-such-distribution"]\n')

    with pytest.raises(BundleError, match=r"pyproject\.toml asks for no-such-distribution"):
        check_requirements(tmp_path)
    project.write_text("[project")
    with pytest.raises(BundleFileError, match="isn't TOML"):
        check_requirements(tmp_path)
