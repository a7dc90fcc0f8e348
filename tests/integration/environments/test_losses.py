"""Losses of a package that a bundle asks for, found by name where its targets are evaluated."""

from __future__ import annotations

import pyarrow as pa
import pytest

from environment_bundles import Machine
from modelops.worker.bundle_evaluator import BundleEvaluator
from modelops.worker.outputs import to_ipc
from wheels import write_wheel

pytestmark = pytest.mark.integration

LOSS = """
class Largest:
    def evaluate(self, aligned):
        return float(abs(aligned.observed - aligned.simulated).max())
"""
ENTRY_POINTS = "[modelops.losses]\nlargest = acme_losses:Largest\n"
TARGETS = """
from modelops.calibration import Target

def cases():
    return Target({"day": [1, 2], "x": [1.0, 5.0]}, on="day", value="x", loss="largest")

def misspelt():
    return Target({"day": [1, 2], "x": [1.0, 5.0]}, on="day", value="x", loss="larges")
"""


def test_a_target_finds_the_loss_of_a_package_by_name(machine: Machine) -> None:
    files = {
        "acme_losses.py": LOSS,
        "acme_losses-1.0.dist-info/entry_points.txt": ENTRY_POINTS,
    }
    write_wheel(machine.wheels, "acme_losses", "1.0", files)
    bundle = machine.bundle("acme_losses", targets_py=TARGETS)
    environment = machine.cache().prepare(bundle, "layered")
    trial = [{"output": to_ipc(pa.table({"day": [1, 2], "x": [2.0, 8.0]}))}]

    with BundleEvaluator(bundle, {"a": "targets:cases"}, environment) as evaluator:
        (outcome,) = evaluator.evaluate([trial])
    with BundleEvaluator(bundle, {"a": "targets:misspelt"}, environment) as evaluator:
        (failed,) = evaluator.evaluate([trial])

    assert (outcome.loss, outcome.failure) == (3.0, None)
    assert failed.failure is not None
    assert "There is no loss 'larges'; installed are: " in failed.failure.message
    assert "Did you mean `largest`?" in failed.failure.message
