"""The engine's errors as people get to read them."""

from pulumi.automation.events import DiagnosticEvent, EngineEvent

from modelops.infra.events import EngineLog, readable

RAISED = (
    "<{%reset%}>Unexpected <class 'Exception'>: dask-scheduler can't be started: no such file:\n"
    '  File "server.py", line 77, in wrapper\n    return await fn(self)\n<{%reset%}>'
)


def event(message: str, severity: str = "error") -> EngineEvent:
    diagnostic = DiagnosticEvent(message, "never", severity)
    return EngineEvent(sequence=1, timestamp=1, diagnostic_event=diagnostic)


def test_a_providers_error_loses_its_class_its_frames_and_its_colours() -> None:
    assert readable(RAISED) == "dask-scheduler can't be started: no such file"


def test_the_log_keeps_each_error_once_and_leaves_out_what_says_nothing() -> None:
    log = EngineLog(lambda _step: None)
    for message in (RAISED, RAISED, "update failed", "disk full"):
        log(event(message))
    log(event("using a plugin from PATH", "warning"))
    assert log.errors == "dask-scheduler can't be started: no such file\ndisk full"
