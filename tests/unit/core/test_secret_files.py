import re
from pathlib import Path

import pytest

from modelops.contracts import BindingOutputs, SecretRef
from modelops.core.errors import SecretError
from modelops.core.secret_files import read_secret, secret_variable, stored_secrets, variables


def in_file(tmp_path: Path, content: bytes) -> SecretRef:
    path = tmp_path / "url"
    path.write_bytes(content)
    return SecretRef("file", str(path))


def test_a_process_is_told_where_a_secret_lies() -> None:
    bindings = BindingOutputs(
        env={"OBJECT_STORE_URL": "file:///data"},
        secrets={"DATABASE_URL": SecretRef("file", "/secrets/url")},
    )
    assert variables(bindings) == {
        "OBJECT_STORE_URL": "file:///data",
        "DATABASE_URL_FILE": "/secrets/url",
    }


def test_a_secret_is_read_without_its_line_end(tmp_path: Path) -> None:
    ref = in_file(tmp_path, b" postgresql://h\xc3\xa4st/x\r\n")
    assert read_secret("X", ref) == "postgresql://häst/x"
    assert secret_variable({"X_FILE": ref.name}, "X") == "postgresql://häst/x"
    assert secret_variable({"X_FILE": ""}, "X") is None
    assert secret_variable({"Y_FILE": ref.name}, "X") is None


@pytest.mark.parametrize(
    ("content", "words"), [(b" \n", "is empty"), (b"hunter2\xff", "isn't text")]
)
def test_a_secret_that_is_none(tmp_path: Path, content: bytes, words: str) -> None:
    with pytest.raises(SecretError, match=words) as caught:
        read_secret("DATABASE_URL", in_file(tmp_path, content))
    assert "DATABASE_URL" in caught.value.message
    assert "hunter2" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    assert "mops secrets set" in caught.value.hint


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(SecretError, match="isn't there"):
        read_secret("X", SecretRef("file", str(tmp_path / "none")))
    with pytest.raises(SecretError, match="can't be read: Is a directory"):
        read_secret("X", SecretRef("file", str(tmp_path)))


def test_secrets_of_a_cluster_are_not_read_here_yet() -> None:
    ref = SecretRef("k8s", "database", "url")
    with pytest.raises(SecretError, match="k8s secret 'database'"):
        read_secret("X", ref)
    with pytest.raises(SecretError, match="k8s"):
        variables(BindingOutputs(secrets={"X": ref}))


def test_stored_secrets_are_found_by_their_whole_names(tmp_path: Path) -> None:
    for name in ("TOKEN", "TOKEN_2", "other"):
        (tmp_path / name).write_text(f"{name} value\n")
    (tmp_path / "TOKEN_3").mkdir()
    names = re.compile(r"TOKEN(_\d)?")

    found = stored_secrets({"MODELOPS_SECRETS_DIR": str(tmp_path)}, names)

    assert found == {"TOKEN": "TOKEN value", "TOKEN_2": "TOKEN_2 value"}
    assert stored_secrets({"MODELOPS_SECRETS_DIR": str(tmp_path / "absent")}, names) == {}
    assert stored_secrets({}, names) == {}
