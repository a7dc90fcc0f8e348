"""`mops spec` and `mops plan` on files that are made for other providers."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from modelops.cli import main as cli
from modelops.spec import load, load_text
from unit.spec.conftest import CLOUD, KUBERNETES, SMALL

pytestmark = pytest.mark.usefixtures("modelops_home")


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as caught:
        cli.main(list(arguments))
    shown = capsys.readouterr()
    return int(caught.value.code or 0), shown.out, shown.err


@pytest.fixture(params=[CLOUD, KUBERNETES], ids=["azure", "kubernetes"])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "runtime.yaml"
    path.write_text(request.param)
    return path


@pytest.mark.parametrize("file", [CLOUD], ids=["azure"], indirect=True)
def test_a_file_for_a_cloud_is_valid_but_cant_be_brought_up_without_its_provider(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = load(file).spec.provider.name
    assert run(capsys, "spec", "validate", "-f", str(file)) == (0, "", f"{file} is valid.\n")
    code, out, err = run(capsys, "plan", "-f", str(file))
    assert (code, out) == (1, "")
    assert f"There is no provider {name!r}; installed are: " in err


@pytest.mark.parametrize("file", [KUBERNETES], ids=["kubernetes"], indirect=True)
def test_a_file_for_a_cluster_is_planned(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "plan", "-f", str(file))
    assert (code, err) == (0, "")
    for part in ("namespace", "objects-results", "database-", "dask-scheduler", "dask-workers"):
        assert part in out


def test_it_is_tried_out_here_and_what_is_replaced_is_said(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(capsys, "plan", "-f", str(file), "--provider", "local")
    assert code == 0
    for part in (
        "bundles",
        "objects-results",
        "database-optuna",
        "dask-scheduler",
        "workers-default-cpu",
        "workers-gpu-calib",
    ):
        assert part in out
    name = load(file).spec.provider.name
    assert f"spec.provider: this machine instead of {name}\n" in err
    assert "spec.databases.optuna: an SQLite file instead of postgres\n" in err
    shown = json.loads(run(capsys, "plan", "-f", str(file), "--provider", "local", "--json")[1])
    assert shown["notes"] == err.splitlines()
    assert shown["plan"]["provider"]["instead_of"]["name"] == name


def test_a_provider_that_isnt_there_or_needs_more_is_wrong_usage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "runtime.yaml"
    file.write_text(KUBERNETES)
    code, _, err = run(capsys, "spec", "validate", "-f", str(file), "--provider", "locl")
    assert (code, err) == (2, "Error: There is no provider 'locl'.\nDid you mean `local`?\n")
    code, _, err = run(capsys, "spec", "validate", "-f", str(file), "--provider", "azure")
    assert code == 2
    assert f"{file}:7:3: spec.provider.location\n  the provider azure needs this key" in err
    assert "The file is made for kubernetes." in err


def test_what_is_shown_is_the_same_spec_in_yaml_and_in_json(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for options in ([], ["--json"]):
        code, out, _ = run(capsys, "spec", "show", "-f", str(file), *options)
        assert code == 0
        assert load_text(out) == load(file)


def test_problems_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "runtime.yaml"
    file.write_text(CLOUD.replace("location:", "locaton:"))
    code, out, _ = run(capsys, "spec", "validate", "--json", "-f", str(file))
    assert code == 2
    (problem,) = json.loads(out)["problems"]
    assert (problem["line"], problem["column"]) == (10, 5)
    assert problem["path"] == "spec.provider.locaton"
    assert problem["suggestion"] == "Did you mean `location`?"


@pytest.mark.integration
def test_checking_a_file_loads_nothing_heavy(file: Path) -> None:
    program = (
        "import sys\n"
        "from modelops.cli.main import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit as end:\n    assert not end.code\n"
        "heavy = {'pulumi', 'grpc', 'distributed', 'dask', 'optuna', 'numpy', 'pyarrow', 'oras',"
        " 'sqlalchemy'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "spec", "validate", "-f", str(file)],
        capture_output=True, text=True, timeout=50, check=True,
    )  # fmt: skip
    assert done.stdout == "[]\n"


@pytest.mark.integration
@pytest.mark.parametrize("type_", ["abc-smc", "grid", "halton", "lhs", "optuna", "sobol"])
def test_options_are_checked_without_the_algorithms_libraries(type_: str, tmp_path: Path) -> None:
    file = tmp_path / "runtime.yaml"
    file.write_text(SMALL.replace("type: optuna", f"type: {type_}").replace("seed: 1", "sede: 1"))
    program = (
        "import sys\n"
        "from modelops.cli.main import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit as end:\n    print(end.code)\n"
        "print(sorted({'optuna', 'numpy', 'scipy'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "spec", "validate", "-f", str(file)],
        capture_output=True, text=True, timeout=50, check=True,
    )  # fmt: skip
    assert done.stdout == "2\n[]\n"
    assert f"{file}:9:51: spec.algorithms.calibration.parameters.sede" in done.stderr
    assert "Did you mean `seed`?" in done.stderr
