"""The words of the run loop: events that happened, instructions to carry out."""

from collections.abc import Mapping
from dataclasses import dataclass

from modelops.contracts import Outputs, SimFailure, SimReturn, TrialResult, UniqueParameterSet
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


@dataclass(frozen=True)
class PauseWanted:
    """Somebody wants the run to pause: nothing new is to be started."""


@dataclass(frozen=True)
class ResumeWanted:
    """Somebody wants the run to go on."""


@dataclass(frozen=True)
class CancelWanted:
    """Somebody wants the run to end as it is."""


@dataclass(frozen=True)
class TimeIsUp:
    """The run has taken as long as it may."""


Event = (
    Asked
    | SimulationFinished
    | TrialEvaluated
    | PauseWanted
    | ResumeWanted
    | CancelWanted
    | TimeIsUp
)


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
    """Compare the replicates' outputs with the targets and answer with `TrialEvaluated`."""

    trial: int
    replicates: tuple[Outputs, ...]


@dataclass(frozen=True)
class RecordResult:
    """Write to the journal how this trial ended.

    Attributes:
        place: as which one the algorithm is told of it, from 0; None in order of number.
    """

    trial: int
    outcome: TrialOutcome
    place: int | None = None


@dataclass(frozen=True)
class Tell:
    """Call `tell` with this one result."""

    result: TrialResult


@dataclass(frozen=True)
class RecordPause:
    """Write to the journal that the run is paused: nothing is under way."""


@dataclass(frozen=True)
class RecordResume:
    """Write to the journal that the run goes on."""


@dataclass(frozen=True)
class Stop:
    """The run is over; `message` says why, and is empty if all was asked and told.

    What is under way when a run is cancelled is to be cancelled too.
    """

    failed: bool
    message: str = ""
    cancelled: bool = False


Instruction = (
    Ask | RecordAsk | Submit | Evaluate | RecordResult | Tell | RecordPause | RecordResume | Stop
)
