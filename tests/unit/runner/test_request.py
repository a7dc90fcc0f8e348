import json
from pathlib import Path

import pytest

from modelops.contracts import RunContext
from modelops.core.errors import ModelOpsError, SecretError, UsageError
from modelops.runner.request import RunEnvironment, RunRequest
from unit.runner.simulated_run import make_plan

PLAN = make_plan()
RUN = {"run_id": "fit-1", "env": "dev", "plan": PLAN.to_json()}


def test_a_request_is_read(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    path.write_text(json.dumps(RUN), encoding="utf-8")
    assert RunRequest.read(path) == RunRequest("fit-1", "dev", PLAN)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "isn't JSON"),
        ("[]", "isn't a run"),
        ("7", "isn't a run"),
        ("{}", "lacks 'run_id'"),
        (json.dumps({**RUN, "plan": {}}), "isn't a run"),
        (json.dumps({**RUN, "plan": {**RUN["plan"], "seed": -1}}), "a seed is an integer"),
        (json.dumps({**RUN, "plan": {**RUN["plan"], "colour": 1}}), "colour"),
        (json.dumps({**RUN, "run_id": "../etc"}), "DNS label"),
        (json.dumps({**RUN, "run_id": 7}), "isn't a run"),
        (json.dumps({**RUN, "env": "A"}), "DNS label"),
    ],
)
def test_what_is_no_request(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "run.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ModelOpsError, match=message) as caught:
        RunRequest.read(path)
    assert caught.value.exit_code == 2


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ModelOpsError, match="can't be read"):
        RunRequest.read(tmp_path / "none.json")


VARIABLES = {
    "DASK_SCHEDULER": "tcp://127.0.0.1:8786",
    "DATABASE_URL": "postgresql://me:hunter2@db/runs",
    "OBJECT_STORE_URL": "file:///data",
    "MODELOPS_BUNDLE_REGISTRY": "file:///bundles",
}


def test_the_environment_is_read_and_shows_no_password() -> None:
    environment = RunEnvironment.read({**VARIABLES, "HOME": "/root"})
    assert environment.variables() == VARIABLES
    assert "hunter2" not in repr(environment)


def test_all_variables_that_are_missing_are_named() -> None:
    with pytest.raises(UsageError, match=r"lacks DASK_SCHEDULER, OBJECT_STORE_URL\."):
        RunEnvironment.read({**VARIABLES, "DASK_SCHEDULER": "", "OBJECT_STORE_URL": ""})


def test_the_database_may_be_a_secret_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "url"
    path.write_text(f"{VARIABLES['DATABASE_URL']}\n")
    given = {**VARIABLES, "DATABASE_URL_FILE": str(path)}
    del given["DATABASE_URL"]
    environment = RunEnvironment.read(given)
    assert environment.database_url == VARIABLES["DATABASE_URL"]
    context = RunContext("fit-1", environment.variables())
    assert context.environment == {**VARIABLES, "DATABASE_URL": "[redacted]"}
    assert "hunter2" not in repr(environment)


def test_a_secret_that_is_empty_is_not_taken_for_one_that_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "url"
    path.touch()
    with pytest.raises(SecretError, match=r"DATABASE_URL.*is empty"):
        RunEnvironment.read({**VARIABLES, "DATABASE_URL_FILE": str(path)})
