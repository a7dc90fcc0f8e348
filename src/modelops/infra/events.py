"""What the engine tells while it works: steps for people to see, errors for them to read."""

import re
from collections.abc import Callable

from pulumi.automation.events import EngineEvent

_QUIET_STEPS = frozenset({"same", "read", "read-replacement", "refresh"})
# The Pulumi SDK puts this before an error that a provider written in Python raised …
_RAISED = re.compile(r"^(?:error: )?(?:Unexpected <class '[^']+'>: )?")
# … and the frames of its traceback behind it.
_FRAMES = re.compile(r':?\n\s+File "[^\n]*", line .*', re.DOTALL)
_COLOR = re.compile(r"<\{%[^%]*%\}>|\x1b\[[0-9;]*m")
_EMPTY = ("update failed", "preview failed", "refresh failed", "destroy failed")


class EngineLog:
    """Collects errors and reports steps; give it to an engine operation as `on_event`."""

    def __init__(self, on_step: Callable[[str], None]) -> None:
        self._on_step = on_step
        self._errors: list[str] = []

    def __call__(self, event: EngineEvent) -> None:
        """Take one event."""
        if event.diagnostic_event is not None and event.diagnostic_event.severity == "error":
            self._note(event.diagnostic_event.message)
        elif event.resource_pre_event is not None:
            step = event.resource_pre_event.metadata
            operation = getattr(step.op, "value", step.op)
            if operation not in _QUIET_STEPS and not step.type.startswith("pulumi:"):
                self._on_step(f"{operation} {step.urn.rsplit('::', 1)[-1]}")

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
