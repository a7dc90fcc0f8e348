"""Messages as frames, and back; the only place that knows the headers."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from modelops.contracts import AlignedOutputs, ContractError, FailureReason, SimFailure
from modelops.contracts.execution import Isolation
from modelops.contracts.simulation import check_fn_ref
from modelops.worker.frames import Frame, FrameError, Parts, Payload
from modelops.worker.messages import (
    Align,
    Answer,
    Evaluate,
    Evaluated,
    EvaluationOutcome,
    Load,
    Loaded,
    Open,
    Points,
    Ran,
    Replicate,
    Request,
    Rows,
    Run,
)
from modelops.worker.text import clean

_ROWS = "<i8"
"""The type of the numbers that say where tables are."""


def to_frame(message: Request | Answer) -> Frame:
    """Return the frame that says `message`."""
    header: dict[str, Any]
    payloads: tuple[Payload | Parts, ...] = ()
    match message:
        case Load(fn_ref):
            header = {"kind": "load", "fn_ref": fn_ref}
        case Open(bundle_dir, directory, paths):
            header = {"kind": "open", "bundle_dir": bundle_dir, "directory": directory}
            header["paths"] = list(paths)
        case Run():
            header = {
                "kind": "run",
                "fn_ref": message.fn_ref,
                "outputs": list(message.outputs),
                "budget": _finite(message.budget),
                "isolation": message.isolation.value,
                "memory": message.memory,
                "files": message.files,
                "part_after": _finite(message.part_after),
                "cgroup": message.cgroup,
            }
            payloads = (message.calls,)
        case Evaluate(targets, trials, streams):
            header = {"kind": "evaluate", "targets": dict(targets)}
            header["trials"] = [[list(_parts_of(each)) for each in trial] for trial in trials]
            header["aligned"] = [
                [number, place]
                for number, trial in enumerate(trials)
                for place, each in enumerate(trial)
                if isinstance(each, AlignedOutputs)
            ]
            replicates = [each for trial in trials for each in trial]
            rows = [
                place
                for each in replicates
                if not isinstance(each, AlignedOutputs)
                for place in each.values()
            ]
            points = [
                data
                for each in replicates
                if isinstance(each, AlignedOutputs)
                for data in each.points.values()
            ]
            payloads = (np.asarray(rows, _ROWS).tobytes(), *points, *streams)
        case Align(targets, tables):
            header = {"kind": "align", "targets": dict(targets), "tables": list(tables)}
            payloads = tuple(tables.values())
        case Loaded(failure):
            header = {"kind": "loaded", "failure": failure_to_json(failure)}
        case Ran():
            header = {
                "kind": "ran",
                "count": message.count,
                "failed": list(message.failed),
                "seconds": message.seconds,
                "crash": failure_to_json(message.crash),
                "is_worn": message.is_worn,
                "start": message.start,
                "is_part": message.is_part,
                "large": list(message.large),
            }
            payloads = (message.answers,)
        case Evaluated(outcomes):
            header = {
                "kind": "evaluated",
                "outcomes": [
                    # JSON has no NaN: a failed evaluation's loss isn't sent.
                    [
                        None if each.failure else each.loss,
                        dict(each.parts),
                        failure_to_json(each.failure),
                    ]
                    for each in outcomes
                ],
            }
        case Points(points, is_final):
            header = {"kind": "points", "targets": None if points is None else list(points)}
            header["is_final"] = is_final
            payloads = tuple((points or {}).values())
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
            case "open":
                paths = tuple(_text(path) for path in _list(header["paths"]))
                return Open(_text(header["bundle_dir"]), _text(header["directory"]), paths)
            case "run":
                check_fn_ref(_text(header["fn_ref"]))
                (calls,) = frame.received
                return Run(
                    fn_ref=_text(header["fn_ref"]),
                    calls=calls,
                    outputs=tuple(_text(name) for name in _list(header["outputs"])),
                    budget=_maybe_infinite(header["budget"]),
                    isolation=Isolation(header["isolation"]),
                    memory=_count(header["memory"]),
                    files=_count(header["files"]),
                    part_after=_maybe_infinite(header["part_after"]),
                    cgroup=_text(header["cgroup"]),
                )
            case "evaluate":
                return _evaluate(header, frame.received)
            case "align":
                return Align(_texts(header["targets"]), _named(header["tables"], frame.received))
            case other:
                raise FrameError(f"{other!r} isn't a request")
    except (LookupError, TypeError, ValueError, ContractError) as error:
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
                return Loaded(failure_of_json(header["failure"]))
            case "ran":
                (answers,) = frame.received
                return Ran(
                    answers=answers,
                    count=int(number(header["count"])),
                    failed=tuple(int(number(position)) for position in _list(header["failed"])),
                    seconds=number(header["seconds"]),
                    crash=failure_of_json(header["crash"]),
                    is_worn=header["is_worn"] is True,
                    start=_count(header["start"]) or 0,
                    is_part=header["is_part"] is True,
                    large=tuple(int(number(position)) for position in _list(header["large"])),
                )
            case "evaluated":
                return Evaluated(tuple(_outcome(*each) for each in _list(header["outcomes"])))
            case "points":
                is_final = header["is_final"] is True
                if header["targets"] is None:
                    return Points(None, is_final)
                return Points(_named(header["targets"], frame.received), is_final)
            case other:
                raise FrameError(f"{other!r} isn't an answer")
    except (KeyError, ValueError, TypeError) as error:
        raise FrameError(f"this isn't an answer: {error!r}") from error


def failure_to_json(failure: SimFailure | None) -> dict[str, str] | None:
    """Return a failure as JSON, None as null."""
    if failure is None:
        return None
    return {
        "reason": failure.reason.value,
        "message": clean(failure.message),
        "details": clean(failure.details),
    }


def failure_of_json(value: Any) -> SimFailure | None:
    """Read what `failure_to_json` wrote.

    Raises:
        KeyError, ValueError, TypeError: if it's something else.
    """
    if value is None:
        return None
    parts = _object(value)
    reason = FailureReason(parts["reason"])
    return SimFailure(reason, _text(parts["message"]), _text(parts["details"]))


def _outcome(loss: Any, parts: Any, failure: Any) -> EvaluationOutcome:
    why = failure_of_json(failure)
    known = {name: number(part) for name, part in _object(parts).items()}
    return EvaluationOutcome(math.nan if why else number(loss), known, why)


def _evaluate(header: Mapping[str, Any], payloads: Sequence[Payload]) -> Evaluate:
    """Return the request; its payloads are all rows, the points of each target, the streams."""
    aligned = {(trial, place) for trial, place in _list(header["aligned"])}
    rows = iter(np.frombuffer(payloads[0], _ROWS).reshape(-1, len(Rows._fields)).tolist())
    rest = iter(payloads[1:])
    trials: list[tuple[Replicate, ...]] = []
    for number, trial in enumerate(_list(header["trials"])):
        replicates: list[Replicate] = []
        for place, names in enumerate(_list(trial)):
            known = [_text(name) for name in _list(names)]
            if (number, place) in aligned:
                aligned.remove((number, place))
                points = {name: bytes(data) for name, data in zip(known, rest, strict=False)}
                replicates.append(AlignedOutputs(points))
            else:
                replicates.append(
                    {name: Rows(*each) for name, each in zip(known, rows, strict=False)}
                )
            if len(_parts_of(replicates[-1])) < len(known):
                raise FrameError("there is less than the header has names")
        trials.append(tuple(replicates))
    streams = tuple(rest)
    if aligned or next(rows, None) is not None:
        raise FrameError("there is more than the header has names")
    if not all(
        each.stream in range(len(streams))
        for trial in trials
        for replicate in trial
        if not isinstance(replicate, AlignedOutputs)
        for each in replicate.values()
    ):
        raise FrameError("there are fewer streams than tables need")
    return Evaluate(_texts(header["targets"]), tuple(trials), streams)


def _named(names: Any, payloads: Sequence[Payload]) -> dict[str, Payload]:
    """Give each name its payload."""
    return dict(zip([_text(name) for name in _list(names)], payloads, strict=True))


def _parts_of(replicate: Replicate) -> Mapping[str, object]:
    return replicate.points if isinstance(replicate, AlignedOutputs) else replicate


def _texts(value: Any) -> dict[str, str]:
    return {name: _text(text) for name, text in _object(value).items()}


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} isn't text")
    return value


def number(value: Any) -> float:
    """Return a number of JSON; raise TypeError if it's none."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{value!r} isn't a number")
    return float(value)


def _finite(value: float) -> float | None:
    # JSON has no infinity.
    return None if math.isinf(value) else value


def _maybe_infinite(value: Any) -> float:
    return math.inf if value is None else number(value)


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(f"{value!r} isn't a list")
    return value


def _count(value: Any) -> int | None:
    if value is None:
        return None
    if type(value) is not int or value < 0:
        raise TypeError(f"{value!r} isn't a count")
    return value


def _object(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise TypeError(f"{value!r} isn't an object")
    return value
