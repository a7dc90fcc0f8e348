"""What a run remembers of its trials: the records that loop, journal and results share."""

import datetime
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from modelops.contracts import RunPlan, TrialStatus, UniqueParameterSet, derive_seed
from modelops.contracts.simulation import encode_calls


@dataclass(frozen=True)
class Trial:
    """An asked trial.

    Attributes:
        parameters: what was asked, with the trial's number.
        seeds: the seed of each replicate, uint64.
        told: how many trials the algorithm had been told before; None where that follows from the
            plan.
    """

    parameters: UniqueParameterSet
    seeds: tuple[int, ...]
    told: int | None = None

    @classmethod
    def planned(
        cls, plan: RunPlan, parameters: UniqueParameterSet, *, told: int | None = None
    ) -> "Trial":
        """Return the trial with the seeds that follow from the plan."""
        seeds = (
            derive_seed(plan.seed, parameters.param_id, replicate)
            for replicate in range(plan.replicates)
        )
        return cls(parameters, tuple(seeds), told)

    @property
    def number(self) -> int:
        """The trial's number, from 0."""
        if self.parameters.trial is None:
            raise ValueError("the trial has no number")
        return self.parameters.trial

    def task_ids(self, plan: RunPlan, fn_ref: str) -> Iterator[str]:
        """Return the id of each replicate's task, as `SimTask.task_id`.

        Args:
            plan: the run's.
            fn_ref: `module:function` of the model that the plan means.
        """
        calls = [(self.parameters.params, seed) for seed in self.seeds]
        for encoded in encode_calls(plan.bundle_ref, fn_ref, calls):
            yield encoded.digest.hex()


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
class EndedTrial:
    """A trial that ended.

    Attributes:
        number: the trial's.
        ended_at: when.
        place: as which one the algorithm is told of it; None where that follows from the plan.
    """

    number: int
    outcome: TrialOutcome
    ended_at: datetime.datetime
    place: int | None = None


@dataclass(frozen=True)
class History:
    """What a journal holds of a run.

    Attributes:
        asked: trial's number → what was asked.
        ended: trial's number → how it ended.
        places: as which one the algorithm was told → trial's number, where that was recorded.
    """

    asked: Mapping[int, Trial] = field(default_factory=dict)
    ended: Mapping[int, TrialOutcome] = field(default_factory=dict)
    places: Mapping[int, int] = field(default_factory=dict)

    def told_as(self, place: int) -> int:
        """Return which trial the algorithm was told of as that one; places go before numbers."""
        return self.places[place] if self.places else place


@dataclass(frozen=True)
class TrialRecord:
    """A trial as it stands in the journal; `outcome` is None while it's under way.

    Attributes:
        ended_at: when its outcome was recorded; None while it's under way.
        place: as which one the algorithm was told of it, where that was recorded.
    """

    trial: Trial
    outcome: TrialOutcome | None
    ended_at: datetime.datetime | None = None
    place: int | None = None
