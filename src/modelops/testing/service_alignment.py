"""Large outputs that are aligned where they were made, for services that claim to do that."""
# ruff: noqa: S101 - these are tests; pytest explains a failing assert

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from modelops.contracts import AlignsOutputs, BundleRef, SimReturn, SimStatus, SimulationService
from modelops.testing.service_suite import ServiceSuite, outcomes_of, table

_MANY, _FEW = 10**6, 10
"""Rows of 16 bytes each."""
_TARGETS = {"some": "model:some_counts"}
_ROWS = [7, 0, 3]


class AlignmentChecks(ServiceSuite):
    """What `AlignsOutputs` guarantees; skipped where a service isn't one."""

    def test_points_take_the_place_of_large_tables(
        self,
        service: SimulationService,
        bundle_ref: BundleRef,
        model: Mapping[str, Callable[..., Any]],
    ) -> None:
        """In the order of the observed rows, bit for bit; outputs that aren't large are tables."""
        _need(service).align_outputs(_TARGETS)
        for seed, outcome in enumerate(_run(service, bundle_ref, _MANY)):
            expected = model["counts"]({"rows": _MANY}, seed)["counts"]["count"]
            assert outcome.status is SimStatus.COMPLETED
            assert not outcome.tables
            assert outcome.aligned is not None
            assert list(outcome.aligned.points) == ["some"]
            points = np.frombuffer(outcome.aligned.points["some"], "<f8")
            assert points.tolist() == expected[_ROWS].tolist()
        for outcome in _run(service, bundle_ref, _FEW):
            _has_all(outcome, _FEW)

    def test_a_service_that_is_told_of_no_targets_gives_tables(
        self, service: SimulationService, bundle_ref: BundleRef
    ) -> None:
        """Before and after it is told of some."""
        aligning = _need(service)
        before = _run(service, bundle_ref, _MANY)
        aligning.align_outputs(_TARGETS)
        aligning.align_outputs({})
        for outcome in (*before, *_run(service, bundle_ref, _MANY)):
            _has_all(outcome, _MANY)

    @pytest.mark.parametrize(
        "target", ["counts_elsewhere", "no_target", "absent", "exits_as_target", "ends_as_target"]
    )
    def test_a_target_that_fails_is_no_failure_of_the_simulation(
        self, service: SimulationService, bundle_ref: BundleRef, target: str
    ) -> None:
        """The tables come back, also if the target's code ends its process."""
        _need(service).align_outputs({**_TARGETS, "other": f"model:{target}"})
        for outcome in _run(service, bundle_ref, _MANY):
            _has_all(outcome, _MANY)


def _need(service: SimulationService) -> AlignsOutputs:
    if not isinstance(service, AlignsOutputs):
        pytest.skip("the service doesn't align outputs (it has no align_outputs)")
    return service


def _run(service: SimulationService, ref: BundleRef, rows: int) -> list[SimReturn]:
    futures = [
        service.submit("model:counts", {"rows": rows}, seed, bundle_ref=ref) for seed in range(4)
    ]
    return outcomes_of(futures)


def _has_all(outcome: SimReturn, rows: int) -> None:
    assert outcome.status is SimStatus.COMPLETED, outcome.failure
    assert outcome.aligned is None
    assert table(outcome, "counts").num_rows == rows
