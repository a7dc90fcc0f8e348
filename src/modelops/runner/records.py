"""What a run remembers of its trials: the records that loop, journal and results share."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from modelops.contracts import RunPlan, TrialStatus, UniqueParameterSet, derive_seed


@dataclass(frozen=True)
class Trial:
    """An asked trial.

    Attributes:
        parameters: what was asked, with the trial's number.
        seeds: the seed of each replicate, uint64.
    """

    parameters: UniqueParameterSet
    seeds: tuple[int, ...]

    @classmethod
    def planned(cls, plan: RunPlan, parameters: UniqueParameterSet) -> "Trial":
        """Return the trial with the seeds that follow from the plan."""
        seeds = (
            derive_seed(plan.seed, parameters.param_id, replicate)
            for replicate in range(plan.replicates)
        )
        return cls(parameters, tuple(seeds))

    @property
    def number(self) -> int:
        """The trial's number, from 0."""
        if self.parameters.trial is None:
            raise ValueError("the trial has no number")
        return self.parameters.trial


@dataclass(frozen=True)
class TrialOutcome:
    """How a trial ended. It's terminal: a journal holds one for each trial at the most.

    Attributes:
        status: completed, failed or timeout.
        loss: the weighted sum of the targets' losses; None unless completed.
        parts: target → its own loss.
        reason: why it failed, a FailureReason's value; empty if completed.
        message: the failure in a sentence.
        details: the tail of what the model wrote.
        seconds: what the model's calls took, all replicates together.
    """

    status: TrialStatus
    loss: float | None = None
    parts: Mapping[str, float] = field(default_factory=dict)
    reason: str = ""
    message: str = ""
    details: str = ""
    seconds: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", MappingProxyType(dict(self.parts)))

    def same_result(self, other: "TrialOutcome") -> bool:
        """Return whether both say the same; wording and times may differ from try to try."""
        return (self.status, self.loss, self.parts, self.reason) == (
            *(other.status, other.loss, other.parts),
            other.reason,
        )


@dataclass(frozen=True)
class History:
    """What a journal holds of a run: trial's number → what was asked, and how it ended."""

    asked: Mapping[int, Trial] = field(default_factory=dict)
    ended: Mapping[int, TrialOutcome] = field(default_factory=dict)


@dataclass(frozen=True)
class TrialRecord:
    """A trial as it stands in the journal; `outcome` is None while it's under way."""

    trial: Trial
    outcome: TrialOutcome | None
