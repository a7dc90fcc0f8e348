"""The example that fits an SEIR model to three numbers, in a child and from end to end."""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from modelops.bundles.packing import bundle_files
from modelops.contracts import BundleRef, SimTask
from modelops.worker.bundle_evaluator import BundleEvaluator
from modelops.worker.warm_child import WarmChild

if TYPE_CHECKING:
    from collections.abc import Mapping

    from integration.conftest import Mops

pytestmark = pytest.mark.integration

EXAMPLE = Path(__file__).parents[2] / "examples" / "seir_scalar"
TARGETS = {
    "r0": "targets:basic_reproduction_number",
    "peak_day": "targets:peak_day",
    "attack_rate": "targets:attack_rate",
}


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return Path(shutil.copytree(EXAMPLE, tmp_path / "seir", symlinks=True))


def test_the_loss_is_least_near_the_parameters_that_made_the_data(bundle: Path) -> None:
    ref = BundleRef("tests/seir", f"sha256:{'0' * 64}")
    # Others of the same R0, of another R0 and the same growth, and of both another.
    points = [(0.48, 5.0), (0.24, 10.0), (1.2, 2.0), (0.3, 5.0), (0.8, 5.0)]
    with closing(WarmChild(bundle)) as child, BundleEvaluator(bundle, TARGETS) as evaluator:

        def simulate(beta: float, days: float) -> list[Mapping[str, bytes]]:
            params = {"beta": beta, "infectious_days": days}
            tasks = [SimTask(ref, "model:simulate", params, seed) for seed in range(5)]
            return [child.simulate(task).tables for task in tasks]

        outcomes = evaluator.evaluate([simulate(*point) for point in points])
    assert [outcome.failure for outcome in outcomes] == [None] * len(points)
    assert all(set(outcome.parts) == set(TARGETS) for outcome in outcomes)
    losses = [outcome.loss for outcome in outcomes]
    assert min(losses) == losses[0]
    # R0 is exactly the observed one; what is left is the density's constant.
    assert outcomes[0].parts["r0"] == pytest.approx(-0.978, abs=1e-3)


def test_what_is_packed_is_what_it_needs() -> None:
    assert {file.name for file in bundle_files(EXAMPLE)} == {
        *("manifest.json", "model.py", "targets.py", "data/observed.csv"),
        *(".modelops-bundle/registry.yaml", ".mopsignore"),
    }


@pytest.mark.e2e
@pytest.mark.timeout(300)
def test_it_is_calibrated(mops: Mops) -> None:
    shutil.copytree(EXAMPLE, mops.folder, symlinks=True, dirs_exist_ok=True)
    spec_file = mops.folder / "runtime.yaml"
    spec = yaml.safe_load(spec_file.read_text())
    spec["spec"]["algorithms"]["seir"]["parameters"]["n_trials"] = 48
    spec_file.write_text(yaml.safe_dump(spec))

    mops("bundle", "validate")
    mops("up")
    mops("adaptive", "status", "--watch")
    best = mops.json("adaptive", "results")[0]
    assert best["param.beta"] * best["param.infectious_days"] == pytest.approx(2.4, abs=0.4)
    parts = [best[f"part.{target}"] for target in TARGETS]
    assert best["loss"] == pytest.approx(sum(parts), rel=1e-12)
