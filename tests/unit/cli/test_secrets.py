"""`mops secrets`: where a value may come from, and that it goes nowhere else."""

from __future__ import annotations

import io
import json
import os
import pty
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import Any

import pytest

from modelops.cli import main as cli

VALUE = "correct horse battery"
BEYOND_TEXT = b"\xff\x00\xfe\n"


@pytest.fixture(autouse=True)
def _empty_folder(modelops_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    monkeypatch.chdir(folder)


class Secrets:
    """The command, without a spec, in the environment `dev`."""

    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
        self.folder = home / "secrets" / "dev"
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def __call__(self, *arguments: str, stdin: bytes = b"", expect: int = 0) -> tuple[str, str]:
        self._monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        with pytest.raises(SystemExit) as caught:
            cli.main(["secrets", *arguments, "--env", "dev"])
        out, err = self._capsys.readouterr()
        assert (caught.value.code or 0) == expect, err
        return out, err

    def read(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()


@pytest.fixture
def secrets(
    modelops_home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Secrets:
    return Secrets(modelops_home, monkeypatch, capsys)


@pytest.mark.parametrize(
    ("stdin", "stored"),
    [
        (b"v4lue\n", b"v4lue"),
        (b"v4lue\r\n", b"v4lue"),
        (b"v4lue", b"v4lue"),
        (b"two\nlines\n\n", b"two\nlines\n"),
        (BEYOND_TEXT, BEYOND_TEXT),
    ],
)
@pytest.mark.parametrize("dash", [(), ("-",)])
def test_a_value_comes_from_stdin(
    secrets: Secrets, stdin: bytes, stored: bytes, dash: tuple[str, ...]
) -> None:
    out, err = secrets("set", "TOKEN", *dash, stdin=stdin)
    assert secrets.read("TOKEN") == stored
    assert out == ""
    assert "v4lue" not in err


def test_a_value_as_an_argument_works_with_a_warning(secrets: Secrets) -> None:
    out, err = secrets("set", "TOKEN", VALUE)
    assert secrets.read("TOKEN") == VALUE.encode()
    assert "history" in err
    assert VALUE not in out + err


@pytest.mark.integration
def test_on_a_terminal_it_is_typed_unseen(modelops_home: Path) -> None:
    """A real terminal: what it shows is all that a bystander could see."""
    ours, theirs = pty.openpty()
    command = [str(Path(sys.executable).with_name("mops")), "secrets", "set", "T", "--env", "dev"]
    with subprocess.Popen(
        command,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "NO_COLOR": "1"},
        start_new_session=True,
    ) as process:
        os.close(theirs)
        shown = b""
        try:
            while b"Value of T" not in shown:
                shown += os.read(ours, 1024)
            # What is typed before the terminal stops echoing is dropped.
            while termios.tcgetattr(ours)[3] & termios.ECHO:
                time.sleep(0.01)
            os.write(ours, f"{VALUE}\n".encode())
            while chunk := os.read(ours, 1024):
                shown += chunk
        except OSError:
            pass  # Linux reports the end of a terminal as an error
        finally:
            os.close(ours)
    assert process.returncode == 0, shown
    assert (modelops_home / "secrets/dev/T").read_text() == VALUE
    assert VALUE.encode() not in shown


def test_set_is_for_new_ones_and_update_for_old_ones(secrets: Secrets) -> None:
    assert "mops secrets set TOKEN" in secrets("update", "TOKEN", stdin=b"x", expect=4)[1]
    secrets("set", "TOKEN", stdin=b"one")
    assert "mops secrets update TOKEN" in secrets("set", "TOKEN", stdin=b"two", expect=2)[1]
    assert secrets.read("TOKEN") == b"one"
    secrets("update", "TOKEN", stdin=b"two")
    assert secrets.read("TOKEN") == b"two"
    secrets("set", "--force", "TOKEN", stdin=b"three")
    assert secrets.read("TOKEN") == b"three"


def test_a_deleted_one_is_gone(secrets: Secrets) -> None:
    secrets("set", "TOKEN", stdin=b"x")
    secrets("delete", "TOKEN")
    assert list(secrets.folder.iterdir()) == []
    secrets("delete", "TOKEN", expect=4)


def test_the_list_tells_all_but_the_value(secrets: Secrets) -> None:
    secrets("set", "b", stdin=VALUE.encode())
    secrets("set", "a", stdin=b"12")
    (secrets.folder / "stack").mkdir()
    (secrets.folder / "stack" / "ca.key").write_text("key")
    out, err = secrets("list")
    assert [line.split()[0] for line in out.splitlines()] == ["NAME", "a", "b"]
    listed = json.loads(secrets("list", "--json")[0])
    assert [(entry["name"], entry["size"]) for entry in listed] == [("a", 2), ("b", len(VALUE))]
    assert VALUE not in out + err + json.dumps(listed)


@pytest.mark.parametrize("stdin", [b"", b"\n"])
def test_nothing_is_no_value(secrets: Secrets, stdin: bytes) -> None:
    assert "empty" in secrets("set", "TOKEN", stdin=stdin, expect=2)[1]
    assert not secrets.folder.exists()


def test_too_much_is_no_value(secrets: Secrets) -> None:
    secrets("set", "TOKEN", stdin=b"x" * 2**20 + b"\n")
    assert len(secrets.read("TOKEN")) == 2**20
    secrets("update", "TOKEN", stdin=b"x" * (2**20 + 5), expect=2)


@pytest.mark.parametrize("name", ["../TOKEN", "a/b", ".x", "stack"])
def test_a_name_that_leads_elsewhere_is_refused(secrets: Secrets, name: str) -> None:
    assert "can't be a secret's name" in secrets("set", name, stdin=b"x", expect=2)[1]
    secrets("delete", name, expect=2)


def test_without_a_spec_the_environment_has_to_be_named(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for arguments in (["list"], ["list", "--env", "no/such"], ["list", "-f", "no.yaml"]):
        with pytest.raises(SystemExit) as caught:
            cli.main(["secrets", *arguments])
        assert caught.value.code == 2
    assert "--env" in capsys.readouterr().err
