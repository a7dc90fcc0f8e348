"""The words of the run loop: events that happened, instructions to carry out."""

from collections.abc import Mapping
from dataclasses import dataclass

from modelops.contracts import SimFailure, SimReturn, TrialResult, UniqueParameterSet
from modelops.runner.records import Trial, TrialOutcome


@dataclass(frozen=True)
class Asked:
    """The algorithm answered `ask(1)`; `finished` is what it said of itself after that."""

    parameters: UniqueParameterSet | None
    finished: bool


@dataclass(frozen=True)
class SimulationFinished:
    """A simulation ended, well or not."""

    trial: int
    replicate: int
    result: SimReturn


@dataclass(frozen=True)
class TrialEvaluated:
    """A trial's simulations were compared with the targets: a loss, or why there is none."""

    trial: int
    loss: float | None
    parts: Mapping[str, float]
    failure: SimFailure | None = None


Event = Asked | SimulationFinished | TrialEvaluated


@dataclass(frozen=True)
class Ask:
    """Call `ask(1)` and answer with `Asked`."""


@dataclass(frozen=True)
class RecordAsk:
    """Write to the journal that this trial was asked."""

    trial: Trial


@dataclass(frozen=True)
class Submit:
    """Start a simulation and answer, some time, with `SimulationFinished`."""

    trial: int
    replicate: int
    parameters: UniqueParameterSet
    seed: int


@dataclass(frozen=True)
class Evaluate:
    """Compare the replicates' tables with the targets and answer with `TrialEvaluated`."""

    trial: int
    replicates: tuple[Mapping[str, bytes], ...]


@dataclass(frozen=True)
class RecordResult:
    """Write to the journal how this trial ended."""

    trial: int
    outcome: TrialOutcome


@dataclass(frozen=True)
class Tell:
    """Call `tell` with this one result."""

    result: TrialResult


@dataclass(frozen=True)
class Stop:
    """The run is over; `message` says why it failed, and is empty if it didn't."""

    failed: bool
    message: str = ""


Instruction = Ask | RecordAsk | Submit | Evaluate | RecordResult | Tell | Stop
