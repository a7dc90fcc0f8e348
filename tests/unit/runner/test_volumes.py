from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from modelops.core.errors import JournalError
from modelops.runner.journal import Journal
from modelops.runner.volumes import network_volume


@pytest.fixture
def _mounts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = [
        SimpleNamespace(mountpoint="/", fstype="ext4"),
        SimpleNamespace(mountpoint=str(tmp_path / "shared"), fstype="nfs4"),
        SimpleNamespace(mountpoint=str(tmp_path / "shared/disk"), fstype="xfs"),
        SimpleNamespace(mountpoint=str(tmp_path / "twice"), fstype="xfs"),
        SimpleNamespace(mountpoint=str(tmp_path / "twice"), fstype="fuse.sshfs"),
    ]
    monkeypatch.setattr(psutil, "disk_partitions", lambda all: mounts)  # noqa: A006


@pytest.mark.usefixtures("_mounts")
@pytest.mark.parametrize(
    ("place", "kind"),
    [
        ("runs.db", None),
        ("shared/runs.db", "nfs4"),
        ("shared/a/runs.db", "nfs4"),
        ("shared/disk/runs.db", None),
        ("shared-not/runs.db", None),
        ("twice/runs.db", "fuse.sshfs"),
    ],
)
def test_the_nearest_mount_says_what_it_is(tmp_path: Path, place: str, kind: str | None) -> None:
    assert network_volume(tmp_path / place) == kind


@pytest.mark.usefixtures("_mounts")
def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "shared")
    assert network_volume(tmp_path / "link/runs.db") == "nfs4"


@pytest.mark.usefixtures("_mounts")
def test_no_journal_is_kept_there(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    with pytest.raises(JournalError, match=r"(?s)network volume \(nfs4\).*PostgreSQL"):
        Journal.open(f"sqlite:///{tmp_path}/shared/runs.db")
    assert not (tmp_path / "shared/runs.db").exists()
