"""`mops bundle`, and what is checked before a bundle is pushed."""

import json
from pathlib import Path

import pytest

from modelops.cli.main import main


def call(*arguments: str) -> int:
    try:
        main([*arguments, "--quiet"])
    except SystemExit as exit_:
        return int(exit_.code or 0)
    return 0


@pytest.fixture
def project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Path:
    """A fresh project as the working directory, and a registry in a folder."""
    monkeypatch.setenv("MODELOPS_BUNDLE_REGISTRY", f"oci-layout://{tmp_path / 'registry'}")
    assert call("init", str(tmp_path / "project"), "--name", "mine") == 0
    monkeypatch.chdir(tmp_path / "project")
    capsys.readouterr()
    return tmp_path / "project"


def test_a_bundle_goes_where_up_would_push_it(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runtime = project / "runtime.yaml"
    text = runtime.read_text()
    runtime.write_text(text.replace("  algorithms:", "  registry: {prefix: team}\n  algorithms:"))
    assert call("bundle", "push", "--json") == 0
    pushed = json.loads(capsys.readouterr().out)
    assert pushed["reference"] == f"team/mine@{pushed['digest']}"
    assert (project.parent / "registry" / "team" / "mine" / "index.json").exists()


def test_broken_code_is_found_before_anything_is_pushed(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "model.py").write_text("def simulate(params, seed:\n")
    assert call("plan") == 2
    error = capsys.readouterr().err
    assert "model.py" in error
    assert "Traceback" not in error
