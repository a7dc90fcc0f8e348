"""Finding PostgreSQL. Programs that say a version stand in for other versions than the one here."""

from pathlib import Path

import pytest

from modelops.core.errors import ProviderError
from modelops.providers.local.postgres.binaries import find_binaries

PLACES = "modelops.providers.local.postgres.binaries._PLACES"


def install(folder: Path, major: int, *, without: str = "") -> Path:
    folder.mkdir(parents=True)
    for name in ("postgres", "initdb", "pg_isready"):
        if name != without:
            program = folder / name
            program.write_text(f"#!/bin/sh\necho '{name} (PostgreSQL) {major}.2 (Debian)'\n")
            program.chmod(0o755)
    return folder


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without PostgreSQL; what is put into `lib/*/bin` is in a usual place."""
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    monkeypatch.setattr(PLACES, (f"{tmp_path}/lib/*/bin",))
    return tmp_path


def test_without_any_it_says_what_to_install(root: Path) -> None:
    install(root / "lib/15/bin", 15, without="initdb")
    with pytest.raises(ProviderError, match=r"(?s)no PostgreSQL.*apt install.*engine: sqlite"):
        find_binaries()


def test_the_newest_of_the_usual_places_is_taken(root: Path) -> None:
    for major in (9, 15, 16):
        install(root / f"lib/{major}/bin", major)
    assert find_binaries().major() == 16


def test_the_one_on_the_path_comes_first_and_is_followed(root: Path) -> None:
    install(root / "lib/16/bin", 16)
    elsewhere = install(root / "opt/bin", 14)
    (root / "path").mkdir()
    (root / "path" / "postgres").symlink_to(elsewhere / "postgres")
    assert find_binaries().folder == elsewhere


def test_the_version_of_the_data_comes_before_all(root: Path) -> None:
    for major in (14, 16):
        install(root / f"lib/{major}/bin", major)
    assert find_binaries(14).major() == 14
    assert find_binaries(13).major() == 16


def test_a_program_that_isnt_postgres(root: Path) -> None:
    folder = install(root / "lib/16/bin", 16)
    (folder / "postgres").write_text("#!/bin/sh\nexit 3\n")
    with pytest.raises(ProviderError, match="can't be run"):
        find_binaries().major()
