"""Secrets as files: who may read them, what they may be called, and that values stay whole."""

from __future__ import annotations

import datetime
import stat
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelops.core.errors import NotThereError, UsageError
from modelops.core.secrets import MAX_SECRET_BYTES, SecretFolder, check_secret_name


@pytest.fixture
def folder(tmp_path: Path) -> SecretFolder:
    return SecretFolder(tmp_path / "secrets" / "dev")


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_only_the_user_can_read_them(folder: SecretFolder) -> None:
    folder.path.mkdir(parents=True, mode=0o755)
    folder.put("TOKEN", b"value")
    assert mode_of(folder.path) == 0o700
    assert mode_of(folder.path.parent) == 0o700
    assert mode_of(folder.path / "TOKEN") == 0o600


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=st.binary(min_size=1, max_size=300))
def test_a_value_comes_back_as_it_was(folder: SecretFolder, value: bytes) -> None:
    folder.put("TOKEN", value)
    assert folder.read("TOKEN") == value


def test_a_file_that_others_could_read_is_replaced_by_one_that_they_cant(
    folder: SecretFolder,
) -> None:
    folder.put("TOKEN", b"old")
    (folder.path / "TOKEN").chmod(0o644)
    folder.put("TOKEN", b"new")
    assert mode_of(folder.path / "TOKEN") == 0o600
    assert [path.name for path in folder.path.iterdir()] == ["TOKEN"]


def test_the_list_has_names_sizes_and_times_and_nothing_of_the_stacks(folder: SecretFolder) -> None:
    before = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=5)
    folder.put("b", b"12345")
    folder.put("a", b"1")
    (folder.path / "stack").mkdir()
    (folder.path / "stack" / "ca.pem").write_text("key")
    entries = folder.entries()
    assert [(entry.name, entry.size) for entry in entries] == [("a", 1), ("b", 5)]
    assert all(entry.changed is not None and entry.changed > before for entry in entries)
    assert "12345" not in repr(entries)


def test_what_isnt_there_is_named_with_the_command_that_sets_it(folder: SecretFolder) -> None:
    assert folder.entries() == ()
    with pytest.raises(NotThereError, match="mops secrets set TOKEN --env dev"):
        folder.read("TOKEN")
    folder.put("TOKEN", b"value")
    folder.delete("TOKEN")
    folder.delete("TOKEN")
    assert folder.entries() == ()


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", ".hidden", "../up", "a/b", "a b", "a\n", "ä", "stack", "Stack", "x" * 254],
)
def test_a_name_that_could_lead_elsewhere_is_refused(folder: SecretFolder, name: str) -> None:
    for do in (
        lambda: folder.put(name, b"value"),
        lambda: folder.read(name),
        lambda: folder.delete(name),
    ):
        with pytest.raises(UsageError, match="can't be a secret's name"):
            do()
    assert not folder.path.exists()


@pytest.mark.parametrize("name", ["TOKEN", "db-url", "tls.crt", "_x", "-", "9", "x" * 253])
def test_a_name_that_kubernetes_takes_is_taken(name: str) -> None:
    assert check_secret_name(name) == name


def test_a_value_that_cant_be_one_is_refused_and_not_shown(folder: SecretFolder) -> None:
    folder.put("TOKEN", b"x" * MAX_SECRET_BYTES)
    with pytest.raises(UsageError, match="empty"):
        folder.put("TOKEN", b"")
    with pytest.raises(UsageError) as caught:
        folder.put("TOKEN", b"y" * (MAX_SECRET_BYTES + 1))
    assert "yyy" not in str(caught.value)
    assert folder.read("TOKEN")[:1] == b"x"
