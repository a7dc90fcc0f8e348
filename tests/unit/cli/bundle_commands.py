"""Calling `mops bundle` in this process, and a project to call it in."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from modelops.cli.main import main


@dataclass(frozen=True)
class Called:
    """What a command gave."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Project:
    """A starter bundle with its runtime.yaml as the working directory, and a registry in a folder.

    Attributes:
        root: the bundle.
        registry: the folder; nothing is there until something is pushed.
    """

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.root = folder / "project"
        self.registry = folder / "registry"
        self._capsys = capsys

    def call(self, *arguments: str) -> Called:
        """Run `mops ARGUMENTS`."""
        self._capsys.readouterr()
        code = 0
        try:
            main(arguments)
        except SystemExit as exit_:
            code = int(exit_.code or 0)
        shown = self._capsys.readouterr()
        assert "Traceback" not in shown.err
        assert "Internal error" not in shown.err
        return Called(code, shown.out, shown.err)

    def bundle(self, *arguments: str) -> Called:
        """Run `mops bundle ARGUMENTS`."""
        return self.call("bundle", *arguments)

    def write(self, **files: str) -> None:
        """Write Python files, named without their ending."""
        for name, text in files.items():
            (self.root / f"{name}.py").write_text(text)


@pytest.fixture(name="project")
def project_fixture(
    tmp_path: Path,
    modelops_home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Project:
    project = Project(tmp_path, capsys)
    assert project.call("init", str(project.root), "--name", "mine").code == 0
    monkeypatch.setenv("MODELOPS_BUNDLE_REGISTRY", f"oci-layout://{project.registry}")
    monkeypatch.chdir(project.root)
    return project
