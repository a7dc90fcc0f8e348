"""The command's entry: its table, its errors, its exit codes."""

import logging
import subprocess
import sys
from pathlib import Path

import pytest

from modelops.cli import main as cli
from modelops.cli.app import COMMANDS
from modelops.cli.help import rendered
from modelops.core.errors import NotThereError


def exit_code_of(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        cli.main(list(arguments))
    return int(caught.value.code or 0)


def test_every_command_of_the_table_can_be_loaded_and_has_help(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in COMMANDS:
        assert exit_code_of(name, "--help") == 0
        assert f"mops {name}" in capsys.readouterr().out


def test_the_help_that_is_kept_is_the_help_that_typer_prints() -> None:
    assert cli.HELP.read_text() == rendered(), "write it anew: python -m modelops.cli.help"


def test_the_help_imports_none_of_the_heavy_libraries() -> None:
    program = (
        "import sys\n"
        "from modelops.cli.main import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = {'typer', 'pulumi', 'distributed', 'optuna', 'pyarrow', 'numpy', 'sqlalchemy'}\n"
        "sys.exit(bool(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert done.returncode == 0


def test_wrong_usage_exits_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code_of("no-such-command") == 2
    assert exit_code_of("plan", "--no-such-option") == 2
    assert "no-such-option" in capsys.readouterr().err


def test_a_missing_spec_exits_with_2_and_says_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code_of("plan", "-f", str(tmp_path / "runtime.yaml")) == 2
    error = capsys.readouterr().err
    assert "runtime.yaml" in error
    assert "mops init" in error
    assert "Traceback" not in error


def test_an_error_is_a_message_and_a_hint_and_its_class_decides_the_exit_code(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli._report(NotThereError("It isn't there.", hint="Make it."), debug=False) == 4
    assert capsys.readouterr().err == "Error: It isn't there.\nMake it.\n"


@pytest.mark.parametrize("debug", [False, True])
def test_tries_that_fail_are_told_to_those_who_debug_only(debug: bool) -> None:
    assert exit_code_of("version", *(["--debug"] if debug else [])) == 0
    assert logging.getLogger("stamina").isEnabledFor(logging.WARNING) is debug


def test_a_fault_of_ours_shows_its_traceback_only_with_debug(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli._report(ZeroDivisionError("x"), debug=False) == 1
    assert "Traceback" not in capsys.readouterr().err
    assert cli._report(ZeroDivisionError("x"), debug=True) == 1
    assert "ZeroDivisionError" in capsys.readouterr().err
