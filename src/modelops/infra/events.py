"""What the engine tells while it works: steps for people to see, errors for them to read."""

import re
from collections.abc import Callable
from typing import Any

from pulumi.automation.events import DiagnosticEvent, EngineEvent

_QUIET_STEPS = frozenset({"same", "read", "read-replacement", "read-discard", "discard", "refresh"})
# The Pulumi SDK puts this before an error that a provider written in Python raised …
_RAISED = re.compile(r"^(?:error: )?(?:Unexpected <class '[^']+'>: )?")
# … and the frames of its traceback behind it.
_FRAMES = re.compile(r':?\n\s+File "[^\n]*", line .*', re.DOTALL)
_COLOR = re.compile(r"<\{%[^%]*%\}>|\x1b\[[0-9;]*m")
_CUT_OFF = re.compile(r"\* (?P<urn>urn:.+), interrupted while creating$", re.MULTILINE)
_EMPTY = ("update failed", "preview failed", "refresh failed", "destroy failed")


class EngineLog:
    """Reports steps and keeps what an operation tells; give it to the operation as `on_event`.

    Attributes:
        changes: the engine's summary: operation → how many resources.
        outputs: the stack's outputs after the operation.
        cut_off: names of resources that an engine before was making when it was killed.
    """

    def __init__(self, on_step: Callable[[str], None]) -> None:
        self._on_step = on_step
        self._errors: list[str] = []
        self._told: set[str] = set()
        self.changes: dict[str, int] = {}
        self.outputs: dict[str, Any] = {}
        self.cut_off: tuple[str, ...] = ()

    def __call__(self, event: EngineEvent) -> None:
        """Take one event."""
        if event.diagnostic_event is not None:
            self._hear(event.diagnostic_event)
        elif event.resource_pre_event is not None:
            step = event.resource_pre_event.metadata
            operation = getattr(step.op, "value", step.op)
            if operation == "delete" and step.old is not None and step.old.retain_on_delete:
                # It goes from the state alone.
                operation = "keep"
            # Components have no provider, and nothing is done to them.
            if operation not in _QUIET_STEPS and step.provider:
                self._on_step(f"{operation} {step.urn.rsplit('::', 1)[-1]}")
        elif event.res_outputs_event is not None:
            step = event.res_outputs_event.metadata
            if step.type == "pulumi:pulumi:Stack" and step.new is not None:
                self.outputs = dict(step.new.outputs or {})
        elif event.summary_event is not None:
            counts = event.summary_event.resource_changes
            self.changes = {str(getattr(op, "value", op)): n for op, n in counts.items()}

    def clear(self) -> None:
        """Forget all that was told so far."""
        self._errors.clear()
        self.changes = {}
        self.outputs = {}
        self.cut_off = ()

    @property
    def errors(self) -> str:
        """The errors so far, as the provider or the engine put them."""
        return "\n".join(self._errors)

    def _hear(self, said: DiagnosticEvent) -> None:
        if said.severity == "error":
            self._note(said.message)
        elif said.ephemeral:
            self._tell(said)
        elif found := _CUT_OFF.findall(_COLOR.sub("", said.message)):
            self.cut_off = tuple(urn.rsplit("::", 1)[-1] for urn in found)

    def _tell(self, status: DiagnosticEvent) -> None:
        """Tell, once, what a plugin says of a resource that it waits for."""
        text = readable(status.message)
        if text and status.urn:
            line = f"{status.urn.rsplit('::', 1)[-1]}: {text}"
            if line not in self._told:
                self._told.add(line)
                self._on_step(line)

    def _note(self, message: str) -> None:
        text = readable(message)
        if text and text not in _EMPTY and text not in self._errors:
            self._errors.append(text)


def readable(message: str) -> str:
    """Return an engine's error without colours, class names and tracebacks."""
    plain = _COLOR.sub("", message).strip()
    return _FRAMES.sub("", _RAISED.sub("", plain)).strip()
