"""A trial that is simulated again, by something that gives what the test says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path

import pyarrow as pa
import pytest

from modelops.analysis.replaying import Replay, Verdict, outputs_hash, replay
from modelops.contracts import (
    BundleRef,
    FailureReason,
    Scalar,
    SimFailure,
    SimReturn,
    SimStatus,
)
from modelops.core.errors import NotThereError, RunStateError
from modelops.runner.records import TrialRecord
from modelops.worker.outputs import to_ipc
from stored_run import FN_REF, REF, StoredRun, simulated

pytestmark = pytest.mark.integration

Model = Callable[[Mapping[str, Scalar], int], list[float] | SimFailure]


class Service:
    """A `SimulationService` that calls a function of the test."""

    def __init__(self, model: Model) -> None:
        self._model = model

    def submit(
        self, fn_ref: str, params: Mapping[str, Scalar], seed: int, *, bundle_ref: BundleRef
    ) -> Future[SimReturn]:
        assert (fn_ref, bundle_ref) == (FN_REF, REF)
        given = self._model(params, seed)
        future: Future[SimReturn] = Future()
        if isinstance(given, SimFailure):
            future.set_result(SimReturn("task", SimStatus.FAILED, failure=given))
        else:
            table = pa.table({"x": list(range(len(given))), "y": given})
            future.set_result(SimReturn("task", SimStatus.COMPLETED, {"output": to_ipc(table)}))
        return future

    def gather(self, futures: Sequence[Future[SimReturn]]) -> list[SimReturn]:
        return [future.result() for future in futures]

    def close(self) -> None:
        pass


def replayed(made: StoredRun, trial: int, model: Model) -> Replay:
    return replay(made.run, trial, made.code, made.outputs(), Service(model))  # type: ignore[arg-type]


def same(params: Mapping[str, Scalar], seed: int) -> list[float]:
    return simulated(params, seed, 5)


def test_what_is_the_same_is_said_to_be(tmp_path: Path) -> None:
    made = StoredRun(tmp_path, missing=(1,))
    # The losses of the run are the test's own: those of the targets may differ in the last bit.
    found = replayed(made, 0, same)
    assert [item.verdict for item in found.simulations] == [Verdict.SAME] * 2
    assert [item.seed for item in found.simulations] == list(found.record.trial.seeds)
    assert all(item.hash == item.stored_hash is not None for item in found.simulations)
    assert found.record.outcome is not None
    assert found.outcome.loss == pytest.approx(found.record.outcome.loss)

    unstored = replayed(made, 1, same)
    assert [item.verdict for item in unstored.simulations] == [Verdict.NOT_STORED] * 2


def test_one_replicate_that_differs_is_named_with_where(tmp_path: Path) -> None:
    made = StoredRun(tmp_path)
    seed = made.run.records[4].trial.seeds[1]

    def model(params: Mapping[str, Scalar], given: int) -> list[float]:
        y = same(params, given)
        return [*y[:3], y[3] + 1.0, y[4]] if given == seed else y

    found = replayed(made, 4, model)
    assert [item.verdict for item in found.simulations] == [Verdict.SAME, Verdict.DIFFERENT]
    (difference,) = found.simulations[1].differences
    assert (difference.table, difference.column, difference.row) == ("output", "y", 3)
    assert found.simulations[1].hash != found.simulations[1].stored_hash
    assert not found.is_same_end
    assert not found.is_same


def test_a_trial_that_failed_may_fail_the_same_again(tmp_path: Path) -> None:
    made = StoredRun(tmp_path, failed={2: "no such slope"})

    def fails(reason: FailureReason) -> Replay:
        return replayed(made, 2, lambda *_: SimFailure(reason, "no such slope, again"))

    again = fails(FailureReason.MODEL)
    assert [item.verdict for item in again.simulations] == [Verdict.FAILED] * 2
    assert again.is_same
    assert not fails(FailureReason.CRASH).is_same
    assert not fails(FailureReason.TIMEOUT).is_same
    assert not replayed(made, 2, same).is_same


def test_what_cannot_be_replayed(tmp_path: Path) -> None:
    made = StoredRun(tmp_path)
    with pytest.raises(NotThereError, match="no trial 8"):
        replayed(made, 8, same)
    asked = TrialRecord(made.run.records[0].trial, None)
    object.__setattr__(made.run, "records", (asked,))
    with pytest.raises(RunStateError, match="hasn't ended"):
        replayed(made, 0, same)


def test_the_hash_is_of_names_and_contents() -> None:
    hashes = {
        outputs_hash(tables)
        for tables in ({}, {"a": b"bc"}, {"ab": b"c"}, {"a": b"", "b": b"c"}, {"a": b"b", "c": b""})
    }
    assert len(hashes) == 5
    assert outputs_hash({"a": b"1", "b": b"2"}) == outputs_hash({"b": b"2", "a": b"1"})
