"""`mops init`: what it makes can be used as it is."""

from pathlib import Path

import pytest

from modelops.cli.main import main
from modelops.spec import compile_spec, load


@pytest.mark.parametrize("name", ["my-model", "my_model", "2024", "on", "a.b", "x" * 100])
def test_the_spec_that_is_made_is_valid(tmp_path: Path, name: str) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["init", str(tmp_path / "new"), "--name", name, "--quiet"])
    assert caught.value.code in (0, None)
    runtime = tmp_path / "new" / "runtime.yaml"
    plan = compile_spec(load(runtime), base=runtime.parent)
    assert [algorithm.targets for algorithm in plan.algorithms] == [("daily_cases",)]


def test_nothing_is_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "runtime.yaml").write_text("mine")
    with pytest.raises(SystemExit) as caught:
        main(["init", str(tmp_path)])
    assert caught.value.code == 1
    assert (tmp_path / "runtime.yaml").read_text() == "mine"
    assert "runtime.yaml already" in capsys.readouterr().err
