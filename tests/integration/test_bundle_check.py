"""`mops bundle check`, from the command line to its exit code."""

import json
import re
from pathlib import Path

import pytest

from modelops.bundles.packing import pack
from modelops.bundles.stores import open_store
from modelops.cli.main import main

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

EXAMPLES = Path(__file__).parents[2] / "examples"
MODEL = """
import os

def simulate(params, seed):
    threads = int(os.environ["OMP_NUM_THREADS"])
    return {"infected": {"day": [0, 1], "n": [1.5, params["beta"] * threads]}}

def fails(params, seed):
    raise ValueError(f"no {params['beta']}")
"""


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, modelops_home: Path) -> Path:
    monkeypatch.setenv("MODELOPS_BUNDLE_REGISTRY", f"oci-layout://{tmp_path / 'registry'}")
    root = tmp_path / "bundle"
    (root / ".modelops-bundle").mkdir(parents=True)
    (root / ".modelops-bundle" / "registry.yaml").write_text(
        "models: {fails: {path: model.py, entrypoint: 'model:fails'}}\n"
    )
    manifest = {"name": "mine", "version": "1.0.0", "entrypoint": "model:simulate"}
    (root / "manifest.json").write_text(json.dumps(manifest))
    (root / "model.py").write_text(MODEL)
    return root


def _call(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(["bundle", "check", *arguments])
    return int(caught.value.code or 0)


@pytest.mark.parametrize(("example", "algorithm"), [("sir", "sir"), ("seir_scalar", "seir")])
def test_the_examples_are_functions_of_parameters_and_seed(
    example: str,
    algorithm: str,
    monkeypatch: pytest.MonkeyPatch,
    modelops_home: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = EXAMPLES / example
    before = sorted(folder.rglob("*"))
    assert _call(str(folder)) == 0

    captured = capsys.readouterr()
    assert [re.split(r"  +", line) for line in captured.out.splitlines()] == [
        [name, "the same"]
        for name in (
            *("again", "hash-seed", "bytecode", "directory", "threads", "time-zone"),
            *("order", "warm"),
        )
    ]
    assert f"3 points of the space of spec.algorithms.{algorithm}" in captured.err
    assert "3 simulations gave the same under every condition" in captured.err
    # It's copies of the bundle that run.
    assert sorted(folder.rglob("*")) == before


def test_what_differs_is_said_with_the_cause(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--params", '{"beta": 0.5}', "--seed", "7", "--condition", "threads"]
    assert _call(str(bundle), *arguments) == 1

    captured = capsys.readouterr()
    rows = "1 of 2 rows differ, the first is row 1: 2.0 instead of 0.5"
    assert captured.out.splitlines()[:4] == [
        "again    the same",
        "threads  differs: OMP_NUM_THREADS and the like are 4 instead of 1",
        f"  table 'infected', column 'n': {rows}; the largest difference is 1.5, relative 0.75",
        '    with {"beta":0.5} and seed 7',
    ]
    assert "  It depends on the number of threads: threads of BLAS" in captured.out
    assert '    model.py:5: threads = int(os.environ["OMP_NUM_THREADS"])' in captured.out
    assert "of 2 conditions, these make a difference: threads." in captured.err


def test_a_bundle_of_a_registry_is_checked_and_told_as_json(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ref = open_store(f"oci-layout://{tmp_path / 'registry'}").push("team/mine", pack(bundle))
    points = tmp_path / "points.json"
    points.write_text('[{"beta": 0.5}, {"beta": 0.5}, {"beta": 1.0}]')
    arguments = ["--params", f"@{points}", "--condition", "threads", "--json"]
    assert _call(str(ref), *arguments) == 1

    report = json.loads(capsys.readouterr().out)
    assert [item["params"] for item in report["simulations"]] == [{"beta": 0.5}, {"beta": 1.0}]
    assert len({item["seed"] for item in report["simulations"]}) == 2
    again, threads = report["conditions"]
    assert (again["name"], again["same"], again["differences"]) == ("again", True, [])
    assert not threads["same"]
    first, second = threads["differences"]
    assert (first["table"], first["column"], first["row"]) == ("infected", "n", 1)
    assert (first["expected"], first["found"]) == ("0.5", "2.0")
    assert (second["params"], second["largest_absolute"]) == ({"beta": 1.0}, 3.0)
    assert [item["line"] for item in threads["suspects"]] == [5]


def test_a_model_that_always_fails_was_not_checked(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--model", "fails", "--params", '{"beta": 1}', "--condition", "again"]
    assert _call(str(bundle), *arguments) == 1

    error = capsys.readouterr().err
    assert "ValueError: no 1" in error
    assert "Nothing could be compared" in error
