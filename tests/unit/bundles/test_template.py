import subprocess
import sys

import numpy as np
import pytest

from modelops.bundles.discovery import resolve_model, resolve_targets
from modelops.bundles.manifest import read_manifest
from modelops.bundles.packing import pack
from modelops.bundles.template import STARTER_PARAMETERS, create_bundle
from modelops.bundles.validate import validate_bundle
from modelops.core.errors import BundleError, UsageError

RUN = """
import sys
sys.path.insert(0, sys.argv[1])
from model import simulate
from targets import daily_cases
target = daily_cases()
first, again = (simulate({"beta": 0.45, "gamma": 0.15}, 20240229)["cases"] for _ in range(2))
assert (first == again).all()
print(*first)
print(*target.data.column("cases").to_pylist())
print(target.on, target.value, target.table)
"""


def test_the_starter_is_valid_and_packs_the_same_each_time(tmp_path):
    paths = create_bundle(tmp_path / "My Model!", None)
    assert all(path.is_file() for path in paths)
    root = tmp_path / "My Model!"
    assert {path for path in root.rglob("*") if path.is_file()} == set(paths)
    assert read_manifest(root).name == "my-model"
    assert validate_bundle(root) == []
    assert resolve_model(root, None) == "model:simulate"
    assert resolve_targets(root, []) == {"daily_cases": "targets:daily_cases"}
    create_bundle(tmp_path / "other", "my-model")
    assert pack(root).digest == pack(tmp_path / "other").digest


@pytest.mark.integration
def test_the_starter_runs_and_fits_its_data(tmp_path):
    create_bundle(tmp_path, "sir")
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(tmp_path)], capture_output=True, text=True, check=True
    )
    simulated, observed, rest = done.stdout.splitlines()
    # The data are one simulation of the model itself.
    assert np.array_equal(simulated.split(), observed.split())
    assert rest == "('day',) cases output"
    assert all(
        low < truth < high
        for (low, high), truth in zip(STARTER_PARAMETERS.values(), (0.45, 0.15), strict=True)
    )


def test_nothing_is_overwritten(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "model.py").write_text("mine")
    with pytest.raises(BundleError, match=r"model\.py already"):
        create_bundle(tmp_path, "sir")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.py", "notes.txt"]
    assert (tmp_path / "model.py").read_text() == "mine"


@pytest.mark.parametrize("name", ["SIR", "team/sir", "", "a b"])
def test_a_name_that_no_bundle_has_is_refused(tmp_path, name):
    with pytest.raises(UsageError):
        create_bundle(tmp_path / "new", name)
    assert not (tmp_path / "new").exists()
