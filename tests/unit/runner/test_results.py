import json
from pathlib import Path

import pyarrow as pa
import pytest

from modelops.contracts import (
    CategoricalParameter,
    FixedParameter,
    FloatParameter,
    IntParameter,
    RunPlan,
    Scalar,
    SearchSpace,
    TrialStatus,
    UniqueParameterSet,
)
from modelops.core.errors import NotThereError
from modelops.runner.records import Trial, TrialOutcome, TrialRecord
from modelops.runner.results import has_results, read_results, results_url, write_results
from unit.runner.simulated_run import REF

PLAN = RunPlan(
    algorithm="fit",
    type="optuna",
    bundle_ref=REF,
    space=SearchSpace(
        {
            "beta": FloatParameter(0.0, 1.0),
            "id": IntParameter(0, 9),
            "flag": CategoricalParameter((True, False)),
            "scenario": CategoricalParameter(("a", "b")),
            "mixed": CategoricalParameter((1, "a", True)),
            "huge": FixedParameter(2**70),
        }
    ),
    targets=("cases", "deaths"),
    replicates=2,
    seed=5,
)


def record(number: int, mixed: Scalar, outcome: TrialOutcome | None) -> TrialRecord:
    params = {
        "beta": number / 10,
        "id": number,
        "flag": number % 2 == 0,
        "scenario": "a",
        "mixed": mixed,
        "huge": 2**70,
    }
    asked = UniqueParameterSet.from_dict(params, trial=number)
    return TrialRecord(Trial.planned(PLAN, asked), outcome)


RECORDS = [
    record(
        0,
        1,
        TrialOutcome(
            TrialStatus.COMPLETED, loss=3.0, parts={"cases": 1.0, "deaths": 2.0}, seconds=0.5
        ),
    ),
    record(1, "a", TrialOutcome(TrialStatus.TIMEOUT, reason="timeout", message="slow")),
    record(2, True, None),
]


@pytest.mark.parametrize("scheme", ["file://", "", "memory://"])
def test_results_are_read_as_written(scheme: str, tmp_path: Path) -> None:
    store = f"{scheme}{tmp_path}/store"
    assert not has_results(store, "run")
    written = write_results(store, "run", PLAN, RECORDS)
    assert written == results_url(store, "run") == f"{store}/runs/run/trials.parquet"
    assert has_results(store, "run")
    table = read_results(store, "run")
    rows = [
        ("completed", 3.0, "1", 1.0, 2.0, None, None, 0.5),
        ("timeout", None, '"a"', None, None, "timeout", "slow", 0.0),
        ("asked", None, "true", None, None, None, None, None),
    ]
    assert table.to_pylist() == [
        {
            "trial": number,
            "param_id": RECORDS[number].trial.parameters.param_id,
            "seeds": list(RECORDS[number].trial.seeds),
            "status": status,
            "loss": loss,
            "param.beta": number / 10,
            "param.id": number,
            "param.flag": number % 2 == 0,
            "param.scenario": "a",
            "param.mixed": mixed,
            "param.huge": str(2**70),
            "part.cases": cases,
            "part.deaths": deaths,
            "reason": reason,
            "message": message,
            "seconds": seconds,
        }
        for number, (status, loss, mixed, cases, deaths, reason, message, seconds) in enumerate(
            rows
        )
    ]
    assert table.schema.field("seeds").type == pa.list_(pa.uint64())
    metadata = {key.decode(): value.decode() for key, value in table.schema.metadata.items()}
    assert metadata["modelops.run_id"] == "run"
    assert metadata["modelops.bundle"] == REF.digest
    assert RunPlan.from_json(json.loads(metadata["modelops.plan"])) == PLAN
    assert set(json.loads(metadata["modelops.versions"])) >= {"modelops", "python", "optuna"}


def test_the_file_appears_whole_and_alone(tmp_path: Path) -> None:
    for _ in range(2):
        write_results(tmp_path.as_uri(), "run", PLAN, RECORDS)
    assert [path.name for path in (tmp_path / "runs" / "run").iterdir()] == ["trials.parquet"]


def test_the_same_records_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_results(f"{tmp_path}/{name}", "run", PLAN, RECORDS)
    one, other = ((tmp_path / name / "runs/run/trials.parquet").read_bytes() for name in "ab")
    assert one == other


def test_a_run_without_trials(tmp_path: Path) -> None:
    write_results(str(tmp_path), "run", PLAN, [])
    assert read_results(str(tmp_path), "run").num_rows == 0


def test_results_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(NotThereError, match=r"'run' has no results at .*trials\.parquet"):
        read_results(str(tmp_path), "run")
