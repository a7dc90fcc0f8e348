"""Large outputs on real workers: the losses are those of the whole tables, whatever travels."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from integration.execution.conftest import Cluster
from integration.execution.local_machine import LocalMachine
from modelops.contracts import (
    AlignedOutputs,
    BundleRef,
    Execution,
    FailureReason,
    Isolation,
    SimReturn,
    SimStatus,
)
from modelops.services.dask_simulation import DaskSimulationService
from modelops.worker import output_aligner
from modelops.worker.bundle_evaluator import BundleEvaluator
from modelops.worker.messages import EvaluationOutcome

pytestmark = pytest.mark.integration

SECONDS = 50.0
LARGE, SMALL = 200_000, 100
"""Days that are simulated, each of 16 bytes."""

MODEL = """
import os
import sys

import numpy as np


def simulate(params, seed):
    chance = np.random.default_rng(seed)
    days = params["days"]
    # Every second day only: the others lie between two rows.
    curve = {
        "day": 2 * np.arange(days),
        "cases": params["level"] * chance.lognormal(size=days),
    }
    metrics = {"metric": ["R0", "peak"], "value": chance.lognormal(size=2)}
    return {"curve": curve, "metrics": metrics}


def tells(params, seed):
    \"\"\"Say which modules of the bundle its process has.\"\"\"
    tables = simulate(params, seed)
    print([name for name in sys.modules if name in ("targets", "slow", "faults")])
    return tables
"""
TARGETS = """
from modelops.calibration import (
    RMSE,
    AbsoluteError,
    AsOfAlignment,
    ExactAlignment,
    GaussianNLL,
    InterpolationAlignment,
    MetricAlignment,
    Target,
)

CURVE = {"on": "day", "value": "cases", "table": "curve"}


def data(*days):
    return {
        "day": list(days),
        "cases": [1.0 + 0.1 * day for day in days],
        "sigma": [1.0 + day for day in days],
    }


def exact():
    return Target(data(0, 8, 2, 150), **CURVE)


def exact_each():
    return Target(data(0, 8, 2, 150), **CURVE, loss=RMSE(on="replicate"), weight=0.3)


def as_of():
    alignment = AsOfAlignment("nearest", tolerance=1)
    return Target(data(3, 151, 0), **CURVE, alignment=alignment, loss=AbsoluteError())


def between():
    loss = GaussianNLL(sigma="sigma", on="likelihood")
    return Target(data(1, 3.7, 150), **CURVE, alignment=InterpolationAlignment(), loss=loss)


def metric():
    return Target({"R0": 2.5}, table="metrics", alignment=MetricAlignment("R0"))
"""
FAULTS = """
import os
import sys
import time

from modelops.calibration import Aligned, ExactAlignment, SquaredError, Target

DATA = {"day": [0, 2], "cases": [1.0, 2.0]}


def no_table():
    return Target(DATA, on="day", value="cases", table="deaths")


def no_point():
    return Target({"day": [0, 1], "cases": [1.0, 2.0]}, on="day", value="cases", table="curve")


class Raises(ExactAlignment):
    def align(self, observed, simulated, **options):
        raise ZeroDivisionError("not today")


def raises():
    return Target(DATA, on="day", value="cases", table="curve", alignment=Raises())


class RaisesByReplicate(ExactAlignment):
    def prepare(self, observed, **options):
        prepared = super().prepare(observed, **options)

        class Raising:
            combine = prepared.combine
            align = prepared.align

            def align_replicate(self, simulated, what):
                print("looked at", what)
                raise ZeroDivisionError("not this replicate")

        return Raising()


def raises_by_replicate():
    alignment = RaisesByReplicate()
    return Target(DATA, on="day", value="cases", table="curve", alignment=alignment)


class RaisesInLoss(SquaredError):
    def evaluate(self, aligned):
        raise ZeroDivisionError("not this loss")


def raises_in_loss():
    return Target(DATA, on="day", value="cases", table="curve", loss=RaisesInLoss())


def is_not_made():
    return int("many")


class Ends(ExactAlignment):
    def prepare(self, observed, **options):
        prepared = super().prepare(observed, **options)

        class Ending:
            combine = prepared.combine
            align = prepared.align

            def align_replicate(self, simulated, what):
                os._exit(7)

        return Ending()


def ends():
    return Target(DATA, on="day", value="cases", table="curve", alignment=Ends())


def hangs():
    time.sleep(600)


def needs_memory():
    assert bytearray(600 * 2**20)
    return Target(DATA, on="day", value="cases", table="curve")
"""
ALL = {name: f"targets:{name}" for name in ("exact", "exact_each", "as_of", "between", "metric")}


@pytest.fixture(scope="module")
def cluster(start_cluster: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with start_cluster(tmp_path_factory.mktemp("cluster"), workers=2) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def bundle_dir(cluster: Cluster) -> Path:
    bundle = cluster.write_bundle(MODEL, TARGETS)
    (bundle / "faults.py").write_text(FAULTS)
    return bundle


@pytest.fixture(scope="module")
def ref(cluster: Cluster, bundle_dir: Path) -> BundleRef:
    return cluster.push(bundle_dir)


@pytest.fixture
def local_ref(local: LocalMachine) -> BundleRef:
    return local.push(MODEL, targets_py=TARGETS, faults_py=FAULTS)


def simulate(
    service: Any,
    ref: BundleRef,
    days: Sequence[int],
    targets: Mapping[str, str] | None = None,
    function: str = "simulate",
) -> list[SimReturn]:
    """Run a simulation for each number of days, each with a seed of its own."""
    service.align_outputs(targets or {})
    futures = [
        service.submit(f"model:{function}", {"days": each, "level": 2.0}, seed, bundle_ref=ref)
        for seed, each in enumerate(days)
    ]
    outcomes = [future.result(SECONDS) for future in futures]
    assert {outcome.status for outcome in outcomes} == {SimStatus.COMPLETED}
    return outcomes


def evaluate(
    bundle_dir: Path, targets: Mapping[str, str], *trials: Sequence[SimReturn]
) -> list[EvaluationOutcome]:
    with BundleEvaluator(bundle_dir, targets) as evaluator:
        return evaluator.evaluate([[each.outputs for each in trial] for trial in trials])


def bits(evaluation: EvaluationOutcome) -> tuple[str, dict[str, str]]:
    assert evaluation.failure is None, evaluation.failure
    parts = {name: part.hex() for name, part in evaluation.parts.items()}
    return evaluation.loss.hex(), parts


def are_aligned(outcomes: Sequence[SimReturn]) -> list[bool]:
    return [outcome.aligned is not None for outcome in outcomes]


def test_losses_are_those_of_the_tables_bit_for_bit(
    cluster: Cluster, ref: BundleRef, bundle_dir: Path
) -> None:
    days = [LARGE, SMALL, LARGE, LARGE, SMALL]
    with DaskSimulationService(cluster.address) as service:
        whole = simulate(service, ref, days)
        mixed = simulate(service, ref, days, ALL)
    assert are_aligned(whole) == [False] * 5
    assert are_aligned(mixed) == [True, False, True, True, False]
    assert [each.task_id for each in mixed] == [each.task_id for each in whole]

    other = [mixed[0], whole[1], whole[2], mixed[3], mixed[4]]
    expected, *others = evaluate(bundle_dir, ALL, whole, mixed, other, other[::-1])
    assert {len(expected.parts)} == {len(ALL)}
    assert all(bits(each) == bits(expected) for each in others)


@pytest.mark.parametrize("isolation", Isolation)
def test_whole_outputs_are_stored_and_found(
    cluster: Cluster, ref: BundleRef, bundle_dir: Path, tmp_path: Path, isolation: Isolation
) -> None:
    options: dict[str, Any] = {
        "object_store_url": str(tmp_path / "store"),
        "execution": Execution(isolation=isolation),
    }
    with DaskSimulationService(cluster.address, **options) as service:
        first = simulate(service, ref, [LARGE, LARGE, SMALL], ALL)
    with DaskSimulationService(cluster.address, **options) as service:
        # What is stored has no worker; it comes in whole, and beside it what is aligned.
        again = simulate(service, ref, [LARGE, LARGE, SMALL, LARGE], ALL)
    with DaskSimulationService(cluster.address) as service:
        whole = simulate(service, ref, [LARGE, LARGE, SMALL, LARGE])
    assert are_aligned(first) == [True, True, False]
    assert are_aligned(again) == [False, False, False, True]
    for stored, simulated in zip(again[:3], whole[:3], strict=True):
        assert dict(stored.tables) == dict(simulated.tables)
        assert stored.log == simulated.log
    expected, found = evaluate(bundle_dir, ALL, whole, again)
    assert bits(found) == bits(expected)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("no_table", "Target 'b', table 'deaths': replicate 0 has no such table"),
        ("no_point", "Target 'b', table 'curve': replicate 0 lacks 1 of 2 observed points"),
        ("raises", "ZeroDivisionError: not today"),
        ("raises_by_replicate", "ZeroDivisionError: not this replicate"),
        ("raises_in_loss", "ZeroDivisionError: not this loss"),
        ("is_not_made", "target 'b': ValueError: invalid literal"),
        ("absent", "'faults:absent' doesn't exist"),
    ],
)
def test_targets_fail_as_with_tables(
    cluster: Cluster, ref: BundleRef, bundle_dir: Path, fault: str, said: str
) -> None:
    targets = {"a": "targets:exact", "b": f"faults:{fault}"}
    pids = {worker.pid for worker in cluster.workers()}
    with DaskSimulationService(cluster.address) as service:
        whole = simulate(service, ref, [LARGE, LARGE, LARGE, LARGE])
        told = simulate(service, ref, [LARGE, LARGE, LARGE, LARGE], targets)
        good = simulate(service, ref, [LARGE], {"a": "targets:exact"})
    expected, found = evaluate(bundle_dir, targets, whole, told)
    assert found.failure is not None
    assert found.failure == expected.failure
    assert said in found.failure.message
    assert math.isnan(found.loss)
    # What was wrong with one set of targets is no matter of another.
    assert are_aligned(good) == [True]
    assert {worker.pid for worker in cluster.workers()} == pids


def test_one_replicate_that_does_not_fit_is_named(
    cluster: Cluster, ref: BundleRef, bundle_dir: Path
) -> None:
    # The observed day 150 is simulated by those with 76 days and more.
    days = [LARGE, 10, LARGE]
    with DaskSimulationService(cluster.address) as service:
        outcomes = simulate(service, ref, days, {"exact": ALL["exact"]})
    assert are_aligned(outcomes) == [True, False, True]
    (evaluation,) = evaluate(bundle_dir, {"exact": ALL["exact"]}, outcomes)
    assert evaluation.failure is not None
    assert evaluation.failure.reason is FailureReason.MODEL
    assert "Target 'exact', table 'curve': replicate 1 lacks 1 of 4" in evaluation.failure.message


@pytest.mark.parametrize("fault", ["ends", "hangs"])
def test_targets_that_end_their_process_or_hang_are_left_to_the_evaluator(
    local: LocalMachine, local_ref: BundleRef, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    if fault == "hangs":
        monkeypatch.setattr(output_aligner, "ALIGN_SECONDS", 2.0)
    targets = {"a": "targets:exact", "b": f"faults:{fault}"}
    with local.service(1) as service:
        outcomes = simulate(service, local_ref, [LARGE] * 6, targets)
        assert are_aligned(outcomes) == [False] * 6
        monkeypatch.setattr(output_aligner, "ALIGN_SECONDS", SECONDS)
        assert are_aligned(simulate(service, local_ref, [LARGE], ALL)) == [True]


def test_models_never_share_a_process_with_targets(
    local: LocalMachine, local_ref: BundleRef
) -> None:
    # Nor does what targets take count against the limits of a simulation.
    targets = {"a": "targets:exact", "b": "faults:needs_memory"}
    with local.service(1, task_memory=500 * 2**20) as service:
        for _ in range(2):
            outcomes = simulate(service, local_ref, [LARGE, LARGE], targets, "tells")
            assert are_aligned(outcomes) == [True, True]
            assert [outcome.log for outcome in outcomes] == ["[]\n", "[]\n"]


def test_points_are_small(cluster: Cluster, ref: BundleRef) -> None:
    with DaskSimulationService(cluster.address) as service:
        (outcome,) = simulate(service, ref, [LARGE], ALL)
    assert isinstance(outcome.outputs, AlignedOutputs)
    sizes = {name: len(points) for name, points in outcome.outputs.points.items()}
    assert sizes == {"exact": 32, "exact_each": 32, "as_of": 24, "between": 24, "metric": 8}
