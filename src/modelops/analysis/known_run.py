"""A run as its journal has it: what all that looks at runs begins with."""

from dataclasses import dataclass

from modelops.contracts import RunPlan, TrialStatus
from modelops.core.errors import NotThereError
from modelops.runner.journal import Journal
from modelops.runner.records import TrialRecord


@dataclass(frozen=True)
class KnownRun:
    """A run, at one moment.

    Attributes:
        run_id: its name.
        plan: all that decides its results.
        records: its trials, by number.
    """

    run_id: str
    plan: RunPlan
    records: tuple[TrialRecord, ...]

    @classmethod
    def read(cls, journal: Journal, run_id: str) -> "KnownRun":
        """Read a run.

        Raises:
            NotThereError: if the journal doesn't know it.
        """
        plan = journal.plan(run_id)
        if plan is None:
            raise NotThereError(f"There is no run {run_id!r}.", hint="See: mops adaptive list")
        return cls(run_id, plan, tuple(journal.trials(run_id)))

    @property
    def best(self) -> tuple[TrialRecord, ...]:
        """The trials that completed, the one with the smallest loss first."""
        return tuple(sorted(self.completed, key=lambda item: (loss_of(item), item.trial.number)))

    @property
    def completed(self) -> tuple[TrialRecord, ...]:
        """The trials that completed, by number."""
        return tuple(item for item in self.records if is_completed(item))

    def record(self, number: int) -> TrialRecord:
        """Return a trial by its number.

        Raises:
            NotThereError: if there's none.
        """
        for record in self.records:
            if record.trial.number == number:
                return record
        there = f"They go from 0 to {self.records[-1].trial.number}." if self.records else ""
        raise NotThereError(f"The run {self.run_id} has no trial {number}.", hint=there)


def is_completed(record: TrialRecord) -> bool:
    """Return whether a trial has a loss."""
    return record.outcome is not None and record.outcome.status is TrialStatus.COMPLETED


def loss_of(record: TrialRecord) -> float:
    """Return the loss of a trial that completed.

    Raises:
        ValueError: if it didn't.
    """
    if record.outcome is None or record.outcome.loss is None:
        raise ValueError(f"trial {record.trial.number} has no loss")
    return record.outcome.loss
