"""JSON lines: one object a record, whatever it holds."""

import ast
import json
import logging
import logging.config
import math
import os
import subprocess
import sys

import pytest

from modelops.core.errors import UsageError
from modelops.core.logs import VALUES, JsonFormatter, is_json, of_run
from modelops.services.dask_settings import JSON_LOGS_ENV


def record(message: str, **attributes: object) -> logging.LogRecord:
    made = logging.LogRecord("modelops.x", logging.INFO, "f.py", 1, message, (), None)
    made.__dict__.update(attributes)
    return made


def test_a_record_is_one_line_with_its_time_run_and_values() -> None:
    values = {"loss": math.nan, "trial": 3, "level": "not this one", "place": os.path}
    line = JsonFormatter().format(record('two\nlines "é"', created=0.25, **{VALUES: values}))
    assert "\n" not in line
    read = json.loads(line)
    assert read.pop("place").startswith("<module")
    assert read == {
        "time": "1970-01-01T00:00:00.250Z",
        "level": "INFO",
        "logger": "modelops.x",
        "message": 'two\nlines "é"',
        "loss": "nan",
        "trial": 3,
    }


def test_the_run_is_the_block_s_or_the_process_s() -> None:
    formatter = JsonFormatter("process")
    with of_run("block"):
        assert json.loads(formatter.format(record("x")))["run_id"] == "block"
    assert json.loads(formatter.format(record("x")))["run_id"] == "process"


def test_a_traceback_is_in_the_line() -> None:
    try:
        int("told")
    except ValueError:
        line = JsonFormatter().format(record("failed", exc_info=sys.exc_info()))
    assert json.loads(line)["error"].endswith("'told'")


def test_another_format_is_an_error() -> None:
    assert not is_json({})
    assert is_json({"MODELOPS_LOG_FORMAT": "json"})
    with pytest.raises(UsageError, match="xml"):
        is_json({"MODELOPS_LOG_FORMAT": "xml"})


def test_dask_takes_its_log_from_the_environment() -> None:
    code = (
        "import distributed, logging;"
        "logging.getLogger('distributed.scheduler').info('of dask');"
        "logging.getLogger('modelops.worker').info('ours');"
        "logging.getLogger('elsewhere').info('not this')"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **JSON_LOGS_ENV},
        capture_output=True,
        text=True,
        check=True,
    )
    lines = [json.loads(line) for line in ran.stderr.splitlines()]
    assert [line["message"] for line in lines] == ["of dask", "ours"]
    assert ast.literal_eval(JSON_LOGS_ENV["DASK_DISTRIBUTED__LOGGING"])["version"] == 1
