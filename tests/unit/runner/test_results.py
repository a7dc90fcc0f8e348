import datetime
import json
from pathlib import Path
from typing import Any

import pandas
import polars
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from modelops.contracts import (
    CategoricalParameter,
    FixedParameter,
    FloatParameter,
    IntParameter,
    RunPlan,
    Scalar,
    SearchSpace,
    SimTask,
    SimTiming,
    TrialStatus,
    UniqueParameterSet,
)
from modelops.core.errors import NotThereError
from modelops.runner.records import Trial, TrialOutcome, TrialRecord
from modelops.runner.results import (
    has_results,
    read_profile,
    read_results,
    read_trials,
    results_url,
    write_profile,
    write_results,
)
from modelops.services.profile import Profile
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
    return TrialRecord(Trial.planned(PLAN, asked), outcome, ENDED if outcome else None)


ENDED = datetime.datetime(2026, 3, 1, 12, 30, tzinfo=datetime.UTC)
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
OUTCOMES = [
    ("completed", 3.0, "1", 1.0, 2.0, None, None, 0.5, ENDED),
    ("timeout", None, '"a"', None, None, "timeout", "slow", 0.0, ENDED),
    ("asked", None, "true", None, None, None, None, None, None),
]


def expected_trials() -> list[dict[str, Any]]:
    """What the results say of each trial, in the order of the columns."""
    return [
        {
            "trial": number,
            "param.beta": number / 10,
            "param.id": number,
            "param.flag": number % 2 == 0,
            "param.scenario": "a",
            "param.mixed": mixed,
            "param.huge": str(2**70),
            "loss": loss,
            "part.cases": cases,
            "part.deaths": deaths,
            "status": status,
            "reason": reason,
            "message": message,
            "trial_seconds": seconds,
            "ended_at": ended_at,
            "param_id": RECORDS[number].trial.parameters.param_id,
            "bundle": REF.digest,
        }
        for number, (
            status,
            loss,
            mixed,
            cases,
            deaths,
            reason,
            message,
            seconds,
            ended_at,
        ) in enumerate(OUTCOMES)
    ]


@pytest.mark.parametrize("scheme", ["file://", "", "memory://"])
def test_results_are_read_as_written(scheme: str, tmp_path: Path) -> None:
    store = f"{scheme}{tmp_path}/store"
    assert not has_results(store, "run")
    written = write_results(store, "run", PLAN, RECORDS)
    assert written == results_url(store, "run") == f"{store}/runs/run/results.parquet"
    assert has_results(store, "run")
    table = read_results(store, "run")
    assert table.to_pylist() == [
        {**row, "replicate": replicate, "seed": seed, "task_id": None}
        for row, record in zip(expected_trials(), RECORDS, strict=True)
        for replicate, seed in enumerate(record.trial.seeds)
    ]
    assert table.column_names[:2] == ["trial", "replicate"]
    assert table.schema.field("seed").type == pa.uint64()
    metadata = {key.decode(): value.decode() for key, value in table.schema.metadata.items()}
    assert metadata["modelops.run_id"] == "run"
    assert metadata["modelops.bundle"] == REF.digest
    assert RunPlan.from_json(json.loads(metadata["modelops.plan"])) == PLAN
    assert set(json.loads(metadata["modelops.versions"])) >= {"modelops", "python", "optuna"}


def test_trials_are_read_with_the_seeds_of_their_replicates(tmp_path: Path) -> None:
    write_results(str(tmp_path), "run", PLAN, RECORDS)
    assert read_trials(str(tmp_path), "run") == [
        {**row, "seeds": list(record.trial.seeds)}
        for row, record in zip(expected_trials(), RECORDS, strict=True)
    ]


def test_simulations_are_named_by_their_task_ids(tmp_path: Path) -> None:
    write_results(str(tmp_path), "run", PLAN, RECORDS, "model:simulate")
    rows = read_results(str(tmp_path), "run").to_pylist()
    params = dict(RECORDS[1].trial.parameters.params)
    assert rows[3]["task_id"] == SimTask(REF, "model:simulate", params, rows[3]["seed"]).task_id
    assert len({row["task_id"] for row in rows}) == 6


def test_pandas_polars_and_pyarrow_open_them(tmp_path: Path) -> None:
    write_results(str(tmp_path), "run", PLAN, RECORDS)
    path = tmp_path / "runs/run/results.parquet"
    rows = [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1)]
    seeds = [seed for record in RECORDS for seed in record.trial.seeds]
    assert max(seeds) > 2**63, "one shows whether a reader takes them for signed"
    arrow = pq.read_table(path)
    of_pandas = pandas.read_parquet(path)
    of_polars = polars.read_parquet(path)
    for frame in (arrow.to_pydict(), of_pandas, of_polars):
        assert list(zip(frame["trial"], frame["replicate"], strict=True)) == rows
        assert list(frame["seed"]) == seeds
    assert of_pandas["loss"].mean() == of_polars["loss"].mean() == 3.0
    assert of_pandas["ended_at"][0] == of_polars["ended_at"][0] == ENDED
    assert of_pandas["status"].tolist() == of_polars["status"].to_list()
    assert of_polars["reason"].null_count() == of_pandas["reason"].isna().sum() == 4


def test_the_file_appears_whole_and_alone(tmp_path: Path) -> None:
    for _ in range(2):
        write_results(tmp_path.as_uri(), "run", PLAN, RECORDS)
    assert [path.name for path in (tmp_path / "runs" / "run").iterdir()] == ["results.parquet"]


def test_the_same_records_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_results(f"{tmp_path}/{name}", "run", PLAN, RECORDS)
    one, other = ((tmp_path / name / "runs/run/results.parquet").read_bytes() for name in "ab")
    assert one == other


def test_a_run_without_trials(tmp_path: Path) -> None:
    write_results(str(tmp_path), "run", PLAN, [])
    assert read_results(str(tmp_path), "run").num_rows == 0


def test_results_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(NotThereError, match=r"'run' has no results at .*results\.parquet"):
        read_results(str(tmp_path), "run")


def test_a_profile_is_read_as_written(tmp_path: Path) -> None:
    profile = Profile()
    profile.add(SimTiming(waiting=4.0, starting=3.0, running=2.0, returning=1.0))
    write_profile(str(tmp_path), "run-1", profile)

    found = read_profile(str(tmp_path), "run-1")

    assert found["simulations"] == 1
    totals = {part: summary["total"] for part, summary in found["seconds"].items()}
    assert totals == {"waiting": 4.0, "starting": 3.0, "running": 2.0, "returning": 1.0}


def test_a_profile_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NotThereError, match="has no profile") as caught:
        read_profile(str(tmp_path), "run-1")
    assert "--profile" in caught.value.hint
