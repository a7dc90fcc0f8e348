"""What an algorithm is told about a trial."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Any

from modelops.contracts.canonical import JSONValue, canonical_json
from modelops.contracts.errors import ContractError
from modelops.contracts.parameters import check_trial

MAX_DIAGNOSTICS_BYTES = 65_536
"""The most that a result's diagnostics may take as canonical JSON, in bytes."""


class TrialStatus(Enum):
    """How a trial ended. All three are terminal."""

    COMPLETED = "completed"
    FAILED = "failed"
    TIMEOUT = "timeout"


@dataclass(frozen=True)
class TrialResult:
    """The outcome of one trial.

    Guarantees: `loss` is finite if the status is COMPLETED, and NaN otherwise if nothing better is
    known; diagnostics are JSON of at most MAX_DIAGNOSTICS_BYTES; nothing can be changed.

    Raises:
        ContractError: if a guarantee doesn't hold.
    """

    param_id: str
    loss: float
    diagnostics: Mapping[str, JSONValue] = field(default_factory=dict)
    status: TrialStatus = TrialStatus.COMPLETED
    trial: int | None = None

    def __post_init__(self) -> None:
        if not self.param_id:
            raise ContractError("param_id must not be empty")
        if isinstance(self.loss, bool) or not isinstance(self.loss, (int, float)):
            raise ContractError(f"a loss is a number, not {self.loss!r}")
        if self.status is TrialStatus.COMPLETED and not math.isfinite(self.loss):
            raise ContractError(f"the loss of a completed trial is {self.loss}; it must be finite")
        check_trial(self.trial)
        size = len(canonical_json(self.diagnostics))
        if size > MAX_DIAGNOSTICS_BYTES:
            raise ContractError(f"diagnostics take {size} bytes, over {MAX_DIAGNOSTICS_BYTES}")
        object.__setattr__(self, "diagnostics", _freeze(self.diagnostics))

    def __hash__(self) -> int:
        return hash((self.param_id, self.trial, self.status))

    def __reduce__(self) -> tuple[Any, ...]:
        diagnostics = _thaw(self.diagnostics)
        return (type(self), (self.param_id, self.loss, diagnostics, self.status, self.trial))


def _freeze(value: Any) -> Any:
    if isinstance(value, Mapping):
        return MappingProxyType({key: _freeze(item) for key, item in value.items()})
    if isinstance(value, (list, tuple)):
        return tuple(_freeze(item) for item in value)
    return value


def _thaw(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _thaw(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [_thaw(item) for item in value]
    return value
