"""`mops dev`: wrong usage, and what is asked without an environment that is up."""

import json
from pathlib import Path

import pytest

from modelops.cli import dev
from modelops.cli.main import main
from modelops.cli.options import Options
from modelops.cli.places import EnvironmentPlaces
from modelops.core.errors import UsageError


def call(*arguments: str) -> int:
    try:
        main([*arguments])
    except SystemExit as exit_:
        return int(exit_.code or 0)
    return 0


@pytest.fixture
def project(
    tmp_path: Path,
    modelops_home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Path:
    assert call("init", str(tmp_path / "project"), "--name", "mine", "--quiet") == 0
    monkeypatch.chdir(tmp_path / "project")
    capsys.readouterr()
    return tmp_path / "project"


@pytest.mark.parametrize(
    "arguments",
    [
        ("--bundle", "nowhere"),
        ("--bundle", "model:latest"),
        ("--param", "beta=1"),
        ("--bundle", ".", "--param", "beta"),
        ("--bundle", ".", "--param", "beta=[1]"),
        ("--bundle", f"oci://host/model@sha256:{'0' * 64}", "--registry", "oci://other"),
        ("--timeout", "0"),
    ],
)
def test_wrong_usage_exits_with_2(project: Path, arguments: tuple[str, ...]) -> None:
    assert call("dev", "smoke-test", *arguments) == 2


def test_parameters_are_numbers_booleans_or_text() -> None:
    texts = ("a=1", "b=1.5", "c=true", "d=x", 'e="1"', "f=a=b")
    assert dict(dev._parameter(text) for text in texts) == {
        "a": 1,
        "b": 1.5,
        "c": True,
        "d": "x",
        "e": "1",
        "f": "a=b",
    }
    with pytest.raises(UsageError):
        dev._parameter("g=NaN")


def test_a_bundle_of_the_spec_is_called_with_the_middle_of_its_space(project: Path) -> None:
    places = EnvironmentPlaces(Options())
    assert dev._middle(places, Path()) == {"beta": 0.55, "gamma": 0.275}
    assert dev._middle(places, project.parent) == {}
    assert dev._middle(places, None) == {}


def test_the_environment_is_the_specs_unless_another_is_named(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert EnvironmentPlaces(Options()).env == "dev"
    assert EnvironmentPlaces(Options(env="other")).env == "other"
    monkeypatch.chdir(project.parent)
    assert EnvironmentPlaces(Options()).env == "dev"
    assert EnvironmentPlaces(Options(env="other")).env == "other"


def test_a_bundle_is_validated_as_by_the_bundle_command(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "model.py").write_text("def simulate(params):\n    return {}\n")
    said = []
    for command in (("dev", "validate-bundle"), ("bundle", "validate")):
        assert call(*command, ".", "--json") == 2
        said.append(capsys.readouterr())
    assert said[0] == said[1]
    assert "two arguments" in json.loads(said[0].out)[0]["message"]
