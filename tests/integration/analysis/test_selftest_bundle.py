"""A bundle with simulated numbers for data: its targets are the run's, compared with these."""

from contextlib import closing
from pathlib import Path

import pytest

from modelops.analysis.fits import fits_of
from modelops.analysis.selftest_bundle import MODULE, simulated_values, write_selftest_bundle
from modelops.bundles.discovery import resolve_model, resolve_targets
from modelops.bundles.packing import pack
from modelops.bundles.validate import refuse_invalid
from modelops.core.errors import BundleFileError
from stored_run import FN_REF, REF, StoredRun

pytestmark = pytest.mark.integration


def test_what_was_simulated_fits_without_a_loss(tmp_path: Path) -> None:
    made = StoredRun(tmp_path / "run")
    (made.bundle / ".mopsignore").write_text("*.yaml\nmodelops_*\n")
    (made.bundle / "__pycache__").mkdir()
    outputs = made.outputs()
    one, other = (outputs.of_trial(record.trial) or [] for record in made.run.records[:2])
    (fit,) = fits_of(made.code, REF, [one[:1]])

    values = simulated_values(fit.points)
    derived = write_selftest_bundle(tmp_path / "derived", made.code, values)

    with closing(derived.evaluator()) as evaluator:
        same, another = evaluator.evaluate(
            [[dict(item.tables) for item in trial] for trial in (one[:1], other[:1])]
        )
    assert same.loss == 0
    assert set(same.parts) == {"line"}
    assert another.loss > 0

    # It's a bundle like others, and has all that it needs in it.
    refuse_invalid(derived.folder)
    assert resolve_targets(derived.folder, ["line"]) == {"line": f"{MODULE}:target_0"}
    assert resolve_model(derived.folder, None) == FN_REF
    again = write_selftest_bundle(tmp_path / "again", made.code, values)
    assert pack(again.folder).digest == pack(derived.folder).digest
    changed = write_selftest_bundle(tmp_path / "changed", made.code, {"line": [0.0] * 5})
    assert pack(changed.folder).digest != pack(derived.folder).digest


def test_a_bundle_that_has_such_a_file_is_refused(tmp_path: Path) -> None:
    made = StoredRun(tmp_path / "run")
    (made.bundle / f"{MODULE}.py").write_text("")
    with pytest.raises(BundleFileError, match="which a self-test writes"):
        write_selftest_bundle(tmp_path / "derived", made.code, {"line": [0.0] * 5})
