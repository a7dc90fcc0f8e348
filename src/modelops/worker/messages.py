"""What worker and child say to each other; `message_frames` makes frames of it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

from modelops.contracts import (
    AlignedOutputs,
    ContractError,
    SimFailure,
)
from modelops.contracts.execution import Isolation
from modelops.worker.frames import Parts, Payload


@dataclass(frozen=True)
class Load:
    """Asks a child to import what `fn_ref` names, so that a later call pays only the call."""

    fn_ref: str


@dataclass(frozen=True)
class Open:
    """Tells a child whose code it runs. There's no answer; the descriptors of locks go with it.

    Attributes:
        bundle_dir: the unpacked bundle.
        directory: where the child works.
        paths: what is on the path of modules behind the bundle.
    """

    bundle_dir: str
    directory: str
    paths: tuple[str, ...] = ()


@dataclass(frozen=True)
class Run:
    """Asks a child for simulations of one function; the answer is a Ran.

    Attributes:
        fn_ref: `module:function`.
        calls: JSON, a list of [parameters, seed].
        outputs: the tables to keep; none means all.
        budget: seconds after which no further simulation is begun.
        isolation: whether each is run in the child itself or in a copy of it.
        memory: bytes that the model may take beyond what the child has, or None.
        files: how many files the child may have open, or None.
        part_after: seconds after which what is done is to be sent, as a Ran that `is_part`.
        cgroup: the folder of the cgroup that the child is in; empty if it has none of its own.
    """

    fn_ref: str
    calls: Payload
    outputs: tuple[str, ...] = ()
    budget: float = math.inf
    isolation: Isolation = Isolation.WARM
    memory: int | None = None
    files: int | None = None
    part_after: float = math.inf
    cgroup: str = ""


@dataclass(frozen=True)
class Ran:
    """Answers a Run.

    Attributes:
        answers: `modelops.worker.answers`, the outcomes in order.
        count: how many there are.
        failed: which of these failed.
        seconds: how long they took together.
        crash: why the one after them ended its copy of the child, if one did.
        is_worn: whether a limit was passed, so that the child should not be used again.
        start: the position in the chunk of the first of these outcomes.
        is_part: whether another Ran follows, with the rest.
        large: which of these have outputs of `outputs.LARGE_BYTES` and more.
    """

    answers: Payload | Parts
    count: int
    failed: tuple[int, ...]
    seconds: float
    crash: SimFailure | None = None
    is_worn: bool = False
    start: int = 0
    is_part: bool = False
    large: tuple[int, ...] = ()


class Rows(NamedTuple):
    """A table as rows of a stream that others may share; without a number it's the whole."""

    stream: int
    start: int = 0
    number: int = -1


Replicate = Mapping[str, Rows] | AlignedOutputs
"""One simulation's tables, name → where they are, or what takes their place."""


@dataclass(frozen=True)
class Evaluate:
    """Asks a child for the losses of trials. It answers with Evaluated.

    Attributes:
        targets: target id → `module:function` of a function that returns a Target.
        trials: of each its replicates.
        streams: Arrow IPC, with the replicates' tables.
    """

    targets: Mapping[str, str]
    trials: tuple[tuple[Replicate, ...], ...]
    streams: tuple[Payload, ...]


@dataclass(frozen=True)
class Align:
    """Asks a child what one simulation has for targets. It answers with Points.

    Attributes:
        targets: as for Evaluate.
        tables: the simulation's, name → Arrow IPC stream.
    """

    targets: Mapping[str, str]
    tables: Mapping[str, Payload]


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
class Evaluated:
    """Answers an Evaluate: what came of each trial, in order."""

    outcomes: tuple[EvaluationOutcome, ...]


@dataclass(frozen=True)
class Points:
    """Answers an Align.

    Attributes:
        points: target id → little-endian float64, a number for each of its points; None if the
            simulation is to be evaluated with its tables, because it doesn't fit, say.
        is_final: whether that's so with every simulation, since a target can't be made, or takes
            replicates together.
    """

    points: Mapping[str, Payload] | None
    is_final: bool = False


Request = Open | Load | Run | Evaluate | Align
Answer = Loaded | Ran | Evaluated | Points
