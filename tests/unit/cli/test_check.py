"""`mops bundle check`: what is said before anything runs."""

from pathlib import Path

import pytest

from modelops.cli.main import main


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, modelops_home: Path) -> Path:
    project = tmp_path / "project"
    with pytest.raises(SystemExit):
        main(["init", str(project), "--name", "mine", "--quiet"])
    monkeypatch.chdir(tmp_path)
    return project


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["project", "--condition", "hashseed"], "Did you mean `hash-seed`?"),
        (["project", "--params", "{"], "--params can't be read"),
        (["project", "--params", "@absent.json"], "absent.json"),
        (["project", "--params", "[]"], "neither an object nor a list of objects"),
        (["project", "--params", "1"], "neither an object nor a list of objects"),
        (["project", "--params", '{"beta": [1]}'], "parameter 'beta' is a list"),
        (["project", "--params", '{"beta": NaN}'], "it must be finite"),
        (["project", "--params", "{}", "--seed", "-1"], "a seed is an integer from 0"),
        (["project", "--params", "{}", "--model", "absent"], "has no model 'absent'"),
        (["project", "--algorithm", "absent"], "There is no algorithm 'absent'"),
        (["project", "--params", "{}", "--timeout", "0"], "timeout"),
        (["absent"], "There is no directory absent"),
        (["mine@sha256:12"], "64 lower-case hex digits"),
    ],
)
def test_wrong_usage_is_told_at_once(
    project: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["bundle", "check", *arguments])

    assert caught.value.code == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.out == ""


def test_parameters_are_asked_for_where_no_spec_has_them(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "runtime.yaml").unlink()
    with pytest.raises(SystemExit) as caught:
        main(["bundle", "check", "project"])

    assert caught.value.code == 2
    assert "Give parameters: --params" in capsys.readouterr().err


def test_a_spec_of_other_bundles_does_not_say_the_parameters(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runtime = project / "runtime.yaml"
    runtime.write_text(runtime.read_text().replace("bundle: .", "bundle: other"))
    with pytest.raises(SystemExit) as caught:
        main(["bundle", "check", "project"])

    assert caught.value.code == 2
    assert "no algorithm of project/runtime.yaml runs it" in capsys.readouterr().err


def test_an_invalid_bundle_is_refused(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "model.py").write_text("def simulate(params, seed:\n")
    with pytest.raises(SystemExit) as caught:
        main(["bundle", "check", "project"])

    assert caught.value.code == 2
    assert "this isn't valid Python" in capsys.readouterr().err
