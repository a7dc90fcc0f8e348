"""Random, SecretFile and Certificate on the real engine: made once, healed, never in plain text."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pulumi
import pytest
from pulumi import automation as auto

from modelops.core.automation import Stack, open_workspace
from modelops.core.settings import Home
from modelops.providers.base import ProviderPlan
from modelops.providers.local.components.resources import (
    Certificate,
    PemCertificate,
    Process,
    Random,
    SecretFile,
)
from modelops.providers.local.provider import LocalProvider

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]


class Trial:
    """A stack of the test's own, with one program."""

    def __init__(self, home: Path, folder: Path, program: Callable[[], None]) -> None:
        self.home = home
        folder.mkdir()
        self._workspace = open_workspace(Home.current(), "secrets", folder, program, "secrets-dev")
        self._stack = Stack.make("secrets-dev", self._workspace)

    def up(self) -> dict[str, int]:
        counts: dict[str, int] = {}

        def note(event: auto.EngineEvent) -> None:
            if event.summary_event is not None:
                counts.update(event.summary_event.resource_changes)

        self._stack.up(on_event=note)
        return {
            str(name.value if hasattr(name, "value") else name): n for name, n in counts.items()
        }

    def preview(self) -> None:
        self._stack.preview()

    def destroy(self) -> None:
        self._stack.destroy()

    def export(self, *options: str) -> str:
        command = ["stack", "export", "--stack", "secrets-dev", *options]
        workspace = self._workspace
        done = workspace.pulumi_command.run(command, workspace.work_dir, workspace.env_vars)
        return str(done.stdout)

    def outputs(self) -> dict[str, dict[str, Any]]:
        resources = json.loads(self.export())["deployment"]["resources"]
        return {item["urn"].rsplit("::", 1)[-1]: item.get("outputs", {}) for item in resources}


@pytest.fixture
def declared(tmp_path: Path) -> dict[str, Any]:
    """What the program declares; a test may change it."""
    return {"length": 32, "days": 365, "folder": tmp_path / "secrets"}


@pytest.fixture
def trial(modelops_home: Path, tmp_path: Path, declared: dict[str, Any]) -> Iterator[Trial]:
    def program() -> None:
        folder = declared["folder"]
        password = Random("password", length=declared["length"], kind="password", secret=True)
        Random("name", length=8, kind="name", secret=False)
        SecretFile("file", path=str(folder / "password"), content=password.value)
        SecretFile(
            "url",
            path=str(folder / "url"),
            content=pulumi.Output.concat("db://u:", password.value, "@127.0.0.1"),
        )
        authority = Certificate(
            "ca", directory=str(folder / "ca"), common_name="test", days=declared["days"]
        )
        Certificate(
            "leaf",
            directory=str(folder / "leaf"),
            common_name="leaf",
            hosts=["127.0.0.1"],
            days=30,
            issuer=authority,
        )
        text = PemCertificate("text-ca", common_name="text", days=30)
        PemCertificate("text", common_name="leaf", hosts=["leaf.svc"], days=30, issuer=text)
        Process(
            "holder",
            command=["sleep", "600"],
            root=str(tmp_path / "processes"),
            log=str(tmp_path / "log.txt"),
            env={"HIDDEN": password.value},
        )

    trial = Trial(modelops_home, tmp_path / "work", program)
    yield trial
    trial.destroy()


def contents(folder: Path) -> bytes:
    """Return all that the backend keeps, histories and backups with it."""
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def test_secrets_are_made_once_healed_and_never_in_plain_text(
    trial: Trial, tmp_path: Path, declared: dict[str, Any]
) -> None:
    trial.preview()
    trial.up()
    folder = declared["folder"]
    password = (folder / "password").read_text()
    assert (folder / "url").read_text() == f"db://u:{password}@127.0.0.1"
    key = (folder / "leaf" / "tls.key").read_text().splitlines()[1]

    assert set(trial.up()) == {"same"}
    for kept in (contents(Home.current().pulumi_state), trial.export().encode()):
        assert b"modelops:index:SecretFile" in kept
        assert password.encode() not in kept
        assert key.encode() not in kept
        assert b"PRIVATE KEY" not in kept
        assert b"BEGIN CERTIFICATE" in kept
    shown = trial.export("--show-secrets")
    assert password in shown
    assert "PRIVATE KEY" in shown
    assert key not in shown
    assert trial.outputs()["name"]["value"] not in ("", None)

    leaf = (folder / "leaf" / "tls.crt").read_text()
    (folder / "password").chmod(0o644)
    (folder / "ca" / "tls.key").unlink()
    look = partial(LocalProvider().look, ProviderPlan("local", "dev", ()))
    found = {name: look(outputs) for name, outputs in trial.outputs().items() if outputs}
    assert not found["file"]["exists"]
    assert not found["ca"]["exists"]
    assert found["leaf"]["exists"]
    assert found["url"]["exists"]
    assert found["holder"]["alive"]
    trial.preview()
    healed = trial.up()
    # The file, the CA, and the leaf that the new CA issued.
    assert healed["update"] == 3
    assert (folder / "password").read_text() == password
    assert (folder / "password").stat().st_mode & 0o777 == 0o600
    assert (folder / "leaf" / "tls.crt").read_text() != leaf

    declared["length"] = 40
    trial.up()
    assert len((folder / "password").read_text()) == 40
    assert set(trial.up()) == {"same"}

    trial.destroy()
    assert list(folder.iterdir()) == []
