"""What the engine tells while it works: steps for people to see, errors for them to read."""

import re
from collections.abc import Callable
from typing import Any

from pulumi.automation.events import EngineEvent

_QUIET_STEPS = frozenset({"same", "read", "read-replacement", "read-discard", "discard", "refresh"})
# The Pulumi SDK puts this before an error that a provider written in Python raised …
_RAISED = re.compile(r"^(?:error: )?(?:Unexpected <class '[^']+'>: )?")
# … and the frames of its traceback behind it.
_FRAMES = re.compile(r':?\n\s+File "[^\n]*", line .*', re.DOTALL)
_COLOR = re.compile(r"<\{%[^%]*%\}>|\x1b\[[0-9;]*m")
_EMPTY = ("update failed", "preview failed", "refresh failed", "destroy failed")


class EngineLog:
    """Reports steps and keeps what an operation tells; give it to the operation as `on_event`.

    Attributes:
        changes: the engine's summary: operation → how many resources.
        outputs: the stack's outputs after the operation.
    """

    def __init__(self, on_step: Callable[[str], None]) -> None:
        self._on_step = on_step
        self._errors: list[str] = []
        self.changes: dict[str, int] = {}
        self.outputs: dict[str, Any] = {}

    def __call__(self, event: EngineEvent) -> None:
        """Take one event."""
        if event.diagnostic_event is not None and event.diagnostic_event.severity == "error":
            self._note(event.diagnostic_event.message)
        elif event.resource_pre_event is not None:
            step = event.resource_pre_event.metadata
            operation = getattr(step.op, "value", step.op)
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

    @property
    def errors(self) -> str:
        """The errors so far, as the provider or the engine put them."""
        return "\n".join(self._errors)

    def _note(self, message: str) -> None:
        text = readable(message)
        if text and text not in _EMPTY and text not in self._errors:
            self._errors.append(text)


def readable(message: str) -> str:
    """Return an engine's error without colours, class names and tracebacks."""
    plain = _COLOR.sub("", message).strip()
    return _FRAMES.sub("", _RAISED.sub("", plain)).strip()
