"""The steps of a smoke test, what became of each, and carrying one out within a limit of time."""

import time
from collections.abc import Callable
from concurrent.futures import wait
from dataclasses import dataclass
from enum import StrEnum

from modelops.contracts import ContractError
from modelops.contracts.canonical import JSONValue
from modelops.core.background import start
from modelops.core.errors import ModelOpsError, ServiceError


class Step(StrEnum):
    """The steps, in their order."""

    BUNDLE = "bundle"
    """The bundle is valid, or made."""
    REGISTRY = "registry"
    """The registry is there and lets us in."""
    PUSH = "push"
    """The bundle gets there."""
    SCHEDULER = "scheduler"
    """The Dask scheduler takes us for one of its own."""
    WORKERS = "workers"
    """There are workers, and each of them sees the bundle."""
    RUN = "run"
    """A worker fetches the bundle and runs its model."""
    RESULT = "result"
    """What comes back is right."""


@dataclass(frozen=True)
class StepOutcome:
    """What became of a step.

    Attributes:
        seconds: how long it took.
        detail: what is worth a look when it's done.
        reason: why it failed; empty if it didn't.
        hint: what to do then.
        output: what the model wrote, if it's the model that failed.
    """

    step: Step
    seconds: float
    detail: str = ""
    reason: str = ""
    hint: str = ""
    output: str = ""

    @property
    def is_ok(self) -> bool:
        """Whether the test goes on."""
        return not self.reason

    def to_json(self) -> dict[str, JSONValue]:
        """Return it as JSON."""
        return {
            "name": self.step.value,
            "ok": self.is_ok,
            "seconds": round(self.seconds, 3),
            "detail": self.detail,
            "reason": self.reason,
            "hint": self.hint,
            "output": self.output,
        }


class ModelFailedError(ServiceError):
    """It's the bundle's own code that failed; `output` is its traceback and what it wrote."""

    def __init__(self, message: str, *, hint: str, output: str) -> None:
        super().__init__(message, hint=hint)
        self.output = output


def carry_out(
    step: Step, work: Callable[[], str], seconds: float, stuck: Callable[[], ModelOpsError]
) -> StepOutcome:
    """Do a step's work, which returns a detail or raises, and return what became of it.

    Args:
        step: which one.
        work: what is to be done. After `seconds` it's left behind.
        seconds: how long it may take.
        stuck: says why, if it takes longer.
    """
    began = time.monotonic()
    running = start(work)
    is_done = running in wait([running], timeout=max(0.0, seconds)).done
    spent = time.monotonic() - began
    try:
        if not is_done:
            raise stuck()
        return StepOutcome(step, spent, detail=running.result())
    except ModelOpsError as error:
        output = error.output if isinstance(error, ModelFailedError) else ""
        return StepOutcome(step, spent, reason=error.message, hint=error.hint, output=output)
    except (ContractError, OSError) as error:
        return StepOutcome(step, spent, reason=str(error) or type(error).__name__)
