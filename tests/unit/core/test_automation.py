"""Where the engine comes from and what its workspaces are told."""

import re
import stat
from pathlib import Path

import pytest

from modelops.core import automation
from modelops.core.errors import EngineError
from modelops.core.settings import Home


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for the engine in a tool cache of the test's own, and none on PATH."""
    monkeypatch.setenv("MODELOPS_TOOLS", str(tmp_path / "tools"))
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    path = tmp_path / "tools" / f"pulumi-v{automation.ENGINE_VERSION}" / "bin" / "pulumi"
    path.parent.mkdir(parents=True)
    path.write_text(f"#!/bin/sh\necho v{automation.ENGINE_VERSION}\n")
    path.chmod(0o755)
    automation.find_engine.cache_clear()
    yield path
    automation.find_engine.cache_clear()


def test_the_engine_that_is_pinned_is_the_engine_that_is_built() -> None:
    go_mod = (Path(__file__).parents[3] / "tools" / "go.mod").read_text()
    pinned = re.search(r"github.com/pulumi/pulumi/pkg/v3 v(\S+)", go_mod)
    assert pinned is not None
    assert pinned.group(1) == automation.ENGINE_VERSION


def test_the_engine_is_taken_from_the_tool_cache(engine: Path) -> None:
    assert automation.find_engine().command == str(engine)


def test_an_engine_on_the_path_goes_first(engine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(engine.parent))
    assert automation.find_engine().command == "pulumi"


def test_an_engine_that_is_too_old_is_passed_over(
    engine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / "old" / "pulumi"
    old.parent.mkdir()
    old.write_text("#!/bin/sh\necho v3.0.0\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", str(old.parent))
    assert automation.find_engine().command == str(engine)


def test_without_an_engine_the_error_says_what_was_tried_and_what_to_do(
    engine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.unlink()

    def no_install(**_: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr(automation.auto.PulumiCommand, "install", no_install)
    with pytest.raises(EngineError) as caught:
        automation.find_engine()
    assert "tool cache" in str(caught.value)
    assert "no network" in str(caught.value)
    assert "make setup" in str(caught.value)


def test_a_passphrase_is_made_once_and_kept_private(engine: Path, modelops_home: Path) -> None:
    home = Home.current()
    first = automation.open_workspace(home, "p", modelops_home).env_vars
    text = home.passphrase_file.read_text()
    second = automation.open_workspace(home, "p", modelops_home).env_vars
    assert len(text) >= 32
    assert home.passphrase_file.read_text() == text
    assert stat.S_IMODE(home.passphrase_file.stat().st_mode) == 0o600
    assert first["PULUMI_CONFIG_PASSPHRASE_FILE"] == str(home.passphrase_file)
    assert second["PULUMI_CONFIG_PASSPHRASE_FILE"] == str(home.passphrase_file)


@pytest.mark.parametrize("name", ["PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE"])
def test_the_users_passphrase_and_the_whole_environment_reach_the_engine(
    engine: Path, modelops_home: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "theirs")
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "credential")
    environment = automation.open_workspace(Home.current(), "p", modelops_home).env_vars
    assert environment[name] == "theirs"
    assert environment["AZURE_CLIENT_SECRET"] == "credential"
    assert not Home.current().passphrase_file.exists()


def test_the_default_backend_is_a_folder_and_any_other_is_left_alone(
    engine: Path, modelops_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home.current()
    workspace = automation.open_workspace(home, "p", modelops_home)
    assert backend_of(workspace) == f"{home.pulumi_state.as_uri()}?metadata=skip"
    monkeypatch.setenv("PULUMI_BACKEND_URL", "azblob://states")
    workspace = automation.open_workspace(home, "p", modelops_home)
    assert backend_of(workspace) == "azblob://states"
    assert "PULUMI_HOME" not in workspace.env_vars


def backend_of(workspace: automation.auto.LocalWorkspace) -> str | None:
    backend = workspace.project_settings().backend
    return None if backend is None else backend.url
