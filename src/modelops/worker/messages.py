"""What worker and child say to each other, as frames; the only place that knows the headers."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from modelops.contracts import (
    ContractError,
    FailureReason,
    SimFailure,
    SimReturn,
    SimStatus,
    SimTask,
)
from modelops.contracts.simulation import check_fn_ref
from modelops.worker.frames import Frame, FrameError


@dataclass(frozen=True)
class Load:
    """Asks a child to import what `fn_ref` names, so that a later call pays only the call."""

    fn_ref: str


@dataclass(frozen=True)
class Simulate:
    """Asks for one simulation; the answer is a SimReturn.

    Attributes:
        timeout: seconds that the call may take, or None. The worker watches it, not the child.
    """

    task: SimTask
    timeout: float | None = None


@dataclass(frozen=True)
class Evaluate:
    """Asks a child for the loss of replicates. It answers with an EvaluationOutcome.

    Attributes:
        targets: target id → `module:function` of a function that returns a Target.
        replicates: each one simulation's tables, name → Arrow IPC stream.
    """

    targets: Mapping[str, str]
    replicates: tuple[Mapping[str, bytes], ...]


@dataclass(frozen=True)
class Loaded:
    """Answers a Load; `failure` says why it can't be imported."""

    failure: SimFailure | None = None


@dataclass(frozen=True)
class EvaluationOutcome:
    """The loss of a trial, or why there is none.

    Guarantees: without a failure, the loss and every part are finite; with one, the loss is NaN
    and there are no parts.

    Attributes:
        parts: target id → its part of the loss.
    """

    loss: float = math.nan
    parts: Mapping[str, float] = field(default_factory=dict)
    failure: SimFailure | None = None

    def __post_init__(self) -> None:
        if self.failure is None and not all(map(math.isfinite, (self.loss, *self.parts.values()))):
            raise ContractError("a loss and its parts are finite, or there is a failure")
        if self.failure is not None and (self.parts or not math.isnan(self.loss)):
            raise ContractError("a failed evaluation has no loss")
        object.__setattr__(self, "parts", MappingProxyType(dict(self.parts)))


@dataclass(frozen=True)
class Trouble:
    """Answers a task that the worker couldn't run for reasons that lie outside the task.

    Attributes:
        is_passing: whether the task should be run again, as it is where the worker is closing.
    """

    message: str
    hint: str = ""
    is_passing: bool = False


Request = Load | Simulate | Evaluate
Answer = Loaded | SimReturn | EvaluationOutcome | Trouble


def to_frame(message: Request | Answer) -> Frame:
    """Return the frame that says `message`."""
    header: dict[str, Any]
    payloads: tuple[bytes, ...] = ()
    match message:
        case Load(fn_ref):
            header = {"kind": "load", "fn_ref": fn_ref}
        case Simulate(task, timeout):
            header = {"kind": "simulate", "task": task.to_json(), "timeout": timeout}
        case Evaluate(targets, replicates):
            names = [list(tables) for tables in replicates]
            header = {"kind": "evaluate", "targets": dict(targets), "replicates": names}
            payloads = tuple(data for tables in replicates for data in tables.values())
        case Loaded(failure):
            header = {"kind": "loaded", "failure": _failure_json(failure)}
        case SimReturn(task_id, status, tables, failure, seconds):
            header = {
                "kind": "return",
                "task_id": task_id,
                "status": status.value,
                "seconds": seconds,
                "tables": list(tables),
                "failure": _failure_json(failure),
            }
            payloads = tuple(tables.values())
        case EvaluationOutcome(loss, parts, failure):
            header = {
                "kind": "evaluation",
                # JSON has no NaN: a failed evaluation's loss isn't sent.
                "loss": None if failure else loss,
                "parts": dict(parts),
                "failure": _failure_json(failure),
            }
        case Trouble(text, hint, is_passing):
            header = {"kind": "trouble", "message": _clean(text), "hint": _clean(hint)}
            header["is_passing"] = is_passing
    return Frame(header, payloads)


def to_request(frame: Frame) -> Request:
    """Return the request that a frame says.

    Raises:
        FrameError: if it isn't a request.
    """
    header = frame.header
    try:
        match header["kind"]:
            case "load":
                check_fn_ref(_text(header["fn_ref"]))
                return Load(_text(header["fn_ref"]))
            case "simulate":
                timeout = header["timeout"]
                task = SimTask.from_json(_object(header["task"]))
                return Simulate(task, None if timeout is None else _number(timeout))
            case "evaluate":
                targets = {name: _text(ref) for name, ref in _object(header["targets"]).items()}
                replicates = header["replicates"]
                if not isinstance(replicates, list):
                    raise FrameError("replicates must be lists of names")
                return Evaluate(targets, tuple(_share(replicates, frame.payloads)))
            case other:
                raise FrameError(f"{other!r} isn't a request")
    except (KeyError, TypeError, ContractError) as error:
        raise FrameError(f"this isn't a request: {error!r}") from error


def to_answer(frame: Frame) -> Answer:
    """Return the answer that a frame says.

    Raises:
        FrameError: if it isn't an answer.
    """
    header = frame.header
    try:
        match header["kind"]:
            case "loaded":
                return Loaded(_to_failure(header["failure"]))
            case "return":
                (tables,) = _share([header["tables"]], frame.payloads)
                return SimReturn(
                    task_id=_text(header["task_id"]),
                    status=SimStatus(header["status"]),
                    tables=tables,
                    failure=_to_failure(header["failure"]),
                    seconds=_number(header["seconds"]),
                )
            case "evaluation":
                failure = _to_failure(header["failure"])
                loss = math.nan if failure else _number(header["loss"])
                parts = {name: _number(part) for name, part in _object(header["parts"]).items()}
                return EvaluationOutcome(loss, parts, failure)
            case "trouble":
                is_passing = header["is_passing"] is True
                return Trouble(_text(header["message"]), _text(header["hint"]), is_passing)
            case other:
                raise FrameError(f"{other!r} isn't an answer")
    except (KeyError, ValueError, TypeError) as error:
        raise FrameError(f"this isn't an answer: {error!r}") from error


def _failure_json(failure: SimFailure | None) -> dict[str, str] | None:
    if failure is None:
        return None
    return {
        "reason": failure.reason.value,
        "message": _clean(failure.message),
        "details": _clean(failure.details),
    }


def _to_failure(value: Any) -> SimFailure | None:
    if value is None:
        return None
    parts = _object(value)
    reason = FailureReason(parts["reason"])
    return SimFailure(reason, _text(parts["message"]), _text(parts["details"]))


def _clean(text: str) -> str:
    """Write lone surrogates, which have no UTF-8 form, as escapes: a model may print any bytes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _share(names: Sequence[Any], payloads: Sequence[bytes]) -> list[dict[str, bytes]]:
    """Give each list of names its payloads, in order."""
    if not all(isinstance(group, list) for group in names):
        raise FrameError("payloads are named by lists")
    if sum(len(group) for group in names) != len(payloads):
        raise FrameError(f"{len(payloads)} payloads don't fit the names in the header")
    rest = iter(payloads)
    return [{_text(name): next(rest) for name in group} for group in names]


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} isn't text")
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{value!r} isn't a number")
    return float(value)


def _object(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise TypeError(f"{value!r} isn't an object")
    return value
