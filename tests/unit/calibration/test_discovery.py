"""Losses and alignments by name: ours, and those that installed packages bring."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from modelops.calibration import (
    RMSE,
    AsOfAlignment,
    ExactAlignment,
    GaussianNLL,
    MetricAlignment,
    SquaredError,
    Target,
    create_alignment,
    create_loss,
    evaluate_targets,
)
from modelops.calibration.discovery import installed_alignments, installed_losses
from modelops.core import plugins
from modelops.core.errors import CalibrationError

MODULE = """
from modelops.calibration import Aligned, ExactAlignment

class Largest:
    def __init__(self, factor=1.0):
        self.factor = factor

    def evaluate(self, aligned):
        return self.factor * float(abs(aligned.observed - aligned.simulated).max())

class Shifted(ExactAlignment):
    def align(self, observed, simulated, **options):
        aligned = super().align(observed, simulated, **options)
        return Aligned(aligned.observed, aligned.simulated + 1, aligned.points)

def needs(*, sigma):
    return Largest(sigma)

def fails():
    raise ValueError("no such unit")

NUMBER = 3

class Empty:
    pass
"""
ENTRY_POINTS = """\
[modelops.losses]
largest = acme_losses:Largest
needs = acme_losses:needs
fails = acme_losses:fails
empty = acme_losses:Empty
number = acme_losses:NUMBER
broken = no_such_module:Loss
rmse = acme_losses:Largest

[modelops.alignments]
shifted = acme_losses:Shifted
empty = acme_losses:Empty
"""
DATA = {"day": [1, 2], "x": [1.0, 5.0]}
TABLES = [{"output": pa.table({"day": [1, 2], "x": [2.0, 8.0]})}]


@pytest.fixture
def _acme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A package of somebody else, installed."""
    about = tmp_path / "acme_losses-1.2.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-losses\nVersion: 1.2\n")
    (about / "entry_points.txt").write_text(ENTRY_POINTS)
    (tmp_path / "acme_losses.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    plugins._warn.cache_clear()
    yield
    sys.modules.pop("acme_losses", None)


def test_ours_have_names() -> None:
    assert create_loss("rmse") == RMSE()
    assert create_loss("squared-error", on="replicate") == SquaredError(on="replicate")
    assert create_loss("gaussian-nll", sigma=2.0) == GaussianNLL(sigma=2.0)
    assert create_alignment("exact") == ExactAlignment()
    assert create_alignment("as-of", tolerance=1) == AsOfAlignment(tolerance=1)
    assert create_alignment("metric", metric="R0") == MetricAlignment("R0")


def test_a_target_takes_names() -> None:
    named = Target(DATA, on="day", value="x", loss="rmse", alignment="exact")
    made = Target(DATA, on="day", value="x", loss=RMSE())
    assert named.loss == RMSE()
    assert evaluate_targets({"a": named}, TABLES) == evaluate_targets({"a": made}, TABLES)


@pytest.mark.usefixtures("_acme")
def test_those_of_packages_are_found_by_name() -> None:
    goal = Target(DATA, on="day", value="x", loss="largest", alignment="shifted")
    assert evaluate_targets({"a": goal}, TABLES).loss == 4.0
    tripled = Target(DATA, on="day", value="x", loss=create_loss("largest", factor=3.0))
    assert evaluate_targets({"a": tripled}, TABLES).loss == 9.0


@pytest.mark.usefixtures("_acme")
def test_an_unknown_name_lists_what_is_installed(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING), pytest.raises(CalibrationError) as caught:
        Target(DATA, on="day", value="x", loss="larges")
    assert caught.value.message == (
        "There is no loss 'larges'; installed are: absolute-error, beta-binomial-nll, empty, fails,"
        " gaussian-nll, largest, needs, negative-binomial-nll, poisson-nll, rmse, squared-error."
    )
    assert caught.value.hint == "Did you mean `largest`?"
    # What is broken is named.
    assert "no_such_module:Loss of acme-losses 1.2) was skipped: ModuleNotFound" in caplog.text
    assert "its name is taken by modelops.calibration:RMSE" in caplog.text
    with pytest.raises(
        CalibrationError, match=r"no alignment 'shift'; .*interpolation, metric, sh"
    ):
        create_alignment("shift")


@pytest.mark.usefixtures("_acme")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("broken", r"(?s)The loss 'broken' can't be used.*ModuleNotFoundError.*Reinstall .*acme"),
        ("number", "TypeError: it can't be called"),
        ("empty", "The loss 'empty' has no evaluate"),
        ("needs", r"(?s)'needs' can't be made: .*'sigma'.*create_loss\('needs', …\)"),
        ("fails", "'fails' can't be made: no such unit"),
        ("gaussian-nll", r"(?s)'gaussian-nll' can't be made: .*'sigma'"),
    ],
)
def test_what_cant_be_used_says_why(name: str, message: str) -> None:
    with pytest.raises(CalibrationError, match=message):
        create_loss(name)


@pytest.mark.usefixtures("_acme")
def test_an_alignment_can_align() -> None:
    with pytest.raises(CalibrationError, match="The alignment 'empty' has no align"):
        create_alignment("empty")


@pytest.mark.usefixtures("_acme")
def test_ours_keep_their_names() -> None:
    assert create_loss("rmse") == RMSE()
    losses = {(plugin.name, plugin.package): plugin.problem for plugin in installed_losses()}
    assert losses["rmse", "modelops"] == ""
    assert "taken by modelops.calibration:RMSE" in losses["rmse", "acme-losses"]
    assert "ModuleNotFoundError" in losses["broken", "acme-losses"]
    assert losses["largest", "acme-losses"] == ""
    assert {plugin.name for plugin in installed_alignments() if not plugin.problem} == {
        *("as-of", "empty", "exact", "interpolation", "metric", "shifted"),
    }


def test_our_own_need_no_look_at_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    def looks(*_: Any) -> Any:
        raise AssertionError("packages were looked into")

    monkeypatch.setattr(plugins, "entry_points", looks)
    assert create_loss("rmse") == RMSE()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"loss": RMSE}, r"(?s)a target's loss is the class RMSE.*Write RMSE\(\)"),
        ({"alignment": ExactAlignment}, "a target's alignment is the class ExactAlignment"),
        ({"loss": 3}, "a target's loss is 3, which has no evaluate"),
        ({"alignment": None}, "a target's alignment is None, which has no align"),
    ],
)
def test_what_is_no_loss_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(CalibrationError, match=message):
        Target(DATA, on="day", value="x", **changes)
