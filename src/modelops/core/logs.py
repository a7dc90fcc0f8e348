"""Logs of processes that serve runs: lines for people, or JSON lines for log collectors.

MODELOPS_LOG_FORMAT=json makes each record one JSON object in a line, with `time` (UTC, RFC 3339),
`level`, `logger`, `message`, `run_id` where it belongs to a run, what else the record says, and
`error` with the traceback if there is one.
"""

import datetime
import json
import logging
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from modelops.core.errors import UsageError

FORMAT_VARIABLE = "MODELOPS_LOG_FORMAT"
"""The environment variable that says `json` or `text`, which is what it is without."""
VALUES = "modelops_values"
"""The attribute of a record with what it says besides its message, name → value."""

_TEXT = "%(asctime)s %(levelname)s %(message)s"
_run_id: ContextVar[str] = ContextVar("modelops_run_id", default="")


def is_json(environ: Mapping[str, str] = os.environ) -> bool:
    """Return whether logs are to be JSON lines.

    Raises:
        UsageError: if the variable says something else.
    """
    given = environ.get(FORMAT_VARIABLE, "") or "text"
    if given not in ("json", "text"):
        raise UsageError(
            f"{FORMAT_VARIABLE} is {given!r}.", hint="Set it to json or text, or not at all."
        )
    return given == "json"


def log_to_stderr(text: logging.Formatter | None = None, run_id: str = "") -> None:
    """Send this process's log to stderr: ours from INFO on, others' from WARNING on.

    Args:
        text: how a record is written where it isn't to be JSON.
        run_id: the run that the whole process is there for, if it is.

    Raises:
        UsageError: if the environment names a format that isn't known.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(run_id) if is_json() else text or logging.Formatter(_TEXT))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("modelops").setLevel(logging.INFO)


def log_if_nobody_does() -> None:
    """Send our log to stderr unless this process has said already where logs go."""
    if not logging.getLogger().handlers:
        log_to_stderr()


@contextmanager
def of_run(run_id: str) -> Iterator[None]:
    """Let all that this thread logs in the block belong to a run."""
    token = _run_id.set(run_id)
    try:
        yield
    finally:
        _run_id.reset(token)


class JsonFormatter(logging.Formatter):
    """Writes a record as a JSON object in one line."""

    def __init__(self, run_id: str = "") -> None:
        """Make it; `run_id` is what records belong to that say nothing else."""
        super().__init__()
        self._run = run_id

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        when = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
        values: dict[str, Any] = {
            "time": when.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        run_id = _run_id.get() or self._run
        if run_id:
            values["run_id"] = run_id
        for name, value in getattr(record, VALUES, {}).items():
            values.setdefault(name, value)
        if record.exc_info:
            values["error"] = self.formatException(record.exc_info)
        return json.dumps(_finite(values), ensure_ascii=False, default=str)


def _finite(values: dict[str, Any]) -> dict[str, Any]:
    """Return the values with NaN and infinities as text: JSON knows none."""
    return {
        name: str(value) if isinstance(value, float) and value - value != 0 else value
        for name, value in values.items()
    }
