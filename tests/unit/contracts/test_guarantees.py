import math
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelops.contracts import (
    MAX_DIAGNOSTICS_BYTES,
    AlignedOutputs,
    CategoricalParameter,
    ContractError,
    FailureReason,
    FloatParameter,
    IntParameter,
    Limits,
    RunContext,
    SimFailure,
    SimReturn,
    SimStatus,
    TrialResult,
    TrialStatus,
)


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_the_loss_of_a_completed_trial_is_finite(loss: float) -> None:
    with pytest.raises(ContractError, match="finite"):
        TrialResult("a", loss)
    assert TrialResult("a", math.nan, status=TrialStatus.FAILED).status is TrialStatus.FAILED


@pytest.mark.parametrize("loss", [True, "1", None])
def test_a_loss_is_a_number(loss: float) -> None:
    with pytest.raises(ContractError, match="number"):
        TrialResult("a", loss)


def test_diagnostics_are_limited_in_bytes_not_characters() -> None:
    envelope = len(b'{"a":""}')
    room = (MAX_DIAGNOSTICS_BYTES - envelope) // 2
    assert TrialResult("a", 1.0, {"a": "ä" * room}).diagnostics["a"]
    with pytest.raises(ContractError, match="bytes"):
        TrialResult("a", 1.0, {"a": "ä" * (room + 1)})


def test_diagnostics_cannot_be_changed_at_any_depth() -> None:
    source = {"parts": {"a": [1, {"b": 2}]}}
    result = TrialResult("a", 1.0, source, trial=3)
    source["parts"]["a"] = []
    assert result.diagnostics["parts"]["a"][1]["b"] == 2  # type: ignore[call-overload,index]
    with pytest.raises(TypeError):
        result.diagnostics["parts"]["c"] = 1  # type: ignore[call-overload,index]
    copy = pickle.loads(pickle.dumps(result))
    assert copy == result
    assert hash(copy) == hash(result)


def test_a_failure_goes_with_the_status_failed() -> None:
    failure = SimFailure(FailureReason.MODEL, "it raised")
    assert SimReturn("t", SimStatus.FAILED, failure=failure).failure == failure
    with pytest.raises(ContractError):
        SimReturn("t", SimStatus.FAILED)
    with pytest.raises(ContractError):
        SimReturn("t", SimStatus.COMPLETED, failure=failure)
    with pytest.raises(ContractError):
        SimReturn("t", SimStatus.FAILED, {"a": b""}, failure)
    aligned = AlignedOutputs({"target": b""})
    with pytest.raises(ContractError):
        SimReturn("t", SimStatus.FAILED, failure=failure, aligned=aligned)
    with pytest.raises(ContractError):
        SimReturn("t", SimStatus.COMPLETED, {"a": b""}, aligned=aligned)


def test_outputs_are_tables_or_what_takes_their_place() -> None:
    tables = {"a": b"1"}
    aligned = AlignedOutputs({"target": b"2"})
    assert SimReturn("t", SimStatus.COMPLETED, tables).outputs == tables
    completed = SimReturn("t", SimStatus.COMPLETED, aligned=aligned)
    assert completed.outputs is aligned
    assert pickle.loads(pickle.dumps(completed)) == completed
    with pytest.raises(TypeError):
        aligned.points["target"] = b""  # type: ignore[index]


@pytest.mark.parametrize(
    ("limit", "n_trials", "allowed"),
    [(0.2, 10, 2), (0.2, 4, 0), (0.999, 10, 9), (0, 10, 0), (1, 10, 1), (7.5, 10, 7)],
)
def test_failures_allowed(limit: float, n_trials: int, allowed: int) -> None:
    assert Limits(max_failures=limit).failures_allowed(n_trials) == allowed


@given(st.floats(0, 1, exclude_max=True), st.integers(1, 10_000))
def test_a_share_never_allows_all_trials_to_fail(share: float, n_trials: int) -> None:
    assert 0 <= Limits(max_failures=share).failures_allowed(n_trials) < n_trials


def test_parameters_that_make_no_sense() -> None:
    for make in (
        lambda: FloatParameter(1.0, 0.0),
        lambda: FloatParameter(0.0, 1.0, log=True),
        lambda: FloatParameter(0.0, math.inf),
        lambda: IntParameter(0, True),
        lambda: IntParameter(0, 5, log=True),
        lambda: IntParameter(0, 1.5),  # type: ignore[arg-type]
        lambda: CategoricalParameter(()),
        lambda: CategoricalParameter(("a", "a")),
        lambda: CategoricalParameter((math.nan,)),
    ):
        with pytest.raises(ContractError):
            make()
    assert len(CategoricalParameter((1, 1.0, True, "1")).choices) == 4


SECRETS = {
    "DB_PASSWORD": "hunter2",
    "PULUMI_CONFIG_PASSPHRASE": "hunter2",
    "AWS_SECRET_ACCESS_KEY": "hunter2",
    "GITHUB_TOKEN": "hunter2",
    "AZURE_CLIENT_SECRET": "hunter2",
    "AZURE_STORAGE_KEY": "hunter2",
    "azure_storage_sas_token": "hunter2",
    "DATABASE_URL": "postgresql://me:hunter2@db:5432/runs",
    "DATABASE_URL_OPTUNA": "postgresql+psycopg://me:hunter2@db/runs",
    "HTTPS_PROXY": "http://me:hunter2@proxy:3128",
}


@pytest.mark.parametrize("name", SECRETS)
def test_secrets_are_redacted(name: str) -> None:
    context = RunContext("run", {name: SECRETS[name]})
    assert "hunter2" not in repr(context)


def test_what_is_no_secret_stays() -> None:
    plain = {
        "DASK_SCHEDULER": "tcp://127.0.0.1:8786",
        "OBJECT_STORE_URL": "file:///data",
        "DATABASE_URL": "sqlite:////data/runs.db",
        "MONKEY": "banana",
    }
    context = RunContext("run", plain)
    assert context.environment == plain
    with pytest.raises(TypeError):
        context.environment["DASK_SCHEDULER"] = "x"  # type: ignore[index]


def test_of_a_database_url_only_the_password_goes() -> None:
    context = RunContext("run", {"DATABASE_URL": "postgresql://me:hunter2@db:5432/runs"})
    assert context.environment["DATABASE_URL"] == "postgresql://me:[redacted]@db:5432/runs"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "postgresql://db/runs?user=me&password=hunter2"),
        ("DATABASE_URL", "postgresql://me:hunter/2@db/runs"),
        ("OBJECT_STORE_URL", "https://store/container?sv=1&sig=hunter2"),
        ("SLACK_TOKEN", "https://hooks.example/hunter2"),
    ],
)
def test_secrets_in_other_parts_of_a_url(name: str, value: str) -> None:
    shown = repr(RunContext("run", {name: value}))
    assert "hunter" not in shown
