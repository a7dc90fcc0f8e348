"""The engine's errors as people get to read them."""

from pulumi.automation import OpType
from pulumi.automation.events import (
    DiagnosticEvent,
    EngineEvent,
    ResourcePreEvent,
    StepEventMetadata,
    StepEventStateMetadata,
)

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


def test_what_a_plugin_says_while_it_waits_is_told_once() -> None:
    told: list[str] = []
    log = EngineLog(told.append)
    urn = "urn:pulumi:dev::project::kubernetes:apps/v1:Deployment::dask-scheduler"
    said = ("[1/2] waiting for pods<{%reset%}>", "[1/2] waiting for pods", "", "[2/2] ready")
    for message in said:
        status = DiagnosticEvent(message, "never", "info", urn=urn, ephemeral=True)
        log(EngineEvent(sequence=1, timestamp=1, diagnostic_event=status))
    log(event("of no resource, and not ephemeral", "info"))

    assert told == ["dask-scheduler: [1/2] waiting for pods", "dask-scheduler: [2/2] ready"]
    assert log.errors == ""


def test_what_an_engine_was_killed_over_is_noted_by_name() -> None:
    log = EngineLog(lambda _step: None)
    urn = "urn:pulumi:dev::project::modelops:local:Scheduler$modelops:index:Process::dask-scheduler"
    log(
        event(
            "<{%reset%}>Attempting to deploy or update resources with 2 pending operations from "
            f"previous deployment.\n  * {urn}, interrupted while creating\n"
            f"  * {urn}-2, interrupted while updating\n<{{%reset%}}>",
            "warning",
        )
    )
    assert log.cut_off == ("dask-scheduler",)
    assert log.errors == ""
    log.clear()
    assert log.cut_off == ()


def test_what_stays_when_its_stack_goes_is_said_to_be_kept() -> None:
    steps: list[str] = []
    log = EngineLog(steps.append)
    for name, is_kept in (("data", True), ("server", False)):
        log(deletion(name, retain_on_delete=is_kept))
    assert steps == ["keep data", "delete server"]


def deletion(name: str, *, retain_on_delete: bool) -> EngineEvent:
    urn, provider = f"urn:pulumi:dev::project::kubernetes:core/v1:Claim::{name}", "provider"
    old = StepEventStateMetadata(
        "claim", urn, name, "", provider, retain_on_delete=retain_on_delete
    )
    step = StepEventMetadata(OpType.DELETE, urn, "claim", provider, old=old)
    before = ResourcePreEvent(step)
    return EngineEvent(sequence=1, timestamp=1, resource_pre_event=before)
