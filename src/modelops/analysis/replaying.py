"""A trial simulated again, and whether that gives what it gave before."""

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from enum import Enum

from modelops.analysis.known_run import KnownRun
from modelops.analysis.run_code import RunCode
from modelops.analysis.stored_outputs import StoredOutputs
from modelops.contracts import (
    FailureReason,
    SimFailure,
    SimReturn,
    SimulationService,
    TrialStatus,
)
from modelops.core.errors import RunStateError
from modelops.runner.records import TrialOutcome, TrialRecord
from modelops.worker.comparison import Difference, compare


class Verdict(Enum):
    """What became of a simulation that was run again."""

    SAME = "same"
    DIFFERENT = "different"
    FAILED = "failed"
    """It failed, and no outputs of it are stored, so that it may have failed before, too."""
    NOT_STORED = "not stored"
    """It gave outputs, and there are none to compare them with."""


@dataclass(frozen=True)
class ReplayedSimulation:
    """A simulation that was run again.

    Attributes:
        replicate: its number.
        seed: what it was called with.
        verdict: how it compares.
        stored_hash, hash: `outputs_hash` of what was stored and of what came now; None for none.
        differences: where they differ.
        failure: why it failed now, or None.
    """

    replicate: int
    seed: int
    verdict: Verdict
    stored_hash: str | None
    hash: str | None
    differences: tuple[Difference, ...]
    failure: SimFailure | None


@dataclass(frozen=True)
class Replay:
    """A trial that was simulated again.

    Attributes:
        record: the trial as the journal has it.
        simulations: its replicates.
        outcome: how it ended this time; `seconds` and wording may differ from the journal's.
    """

    record: TrialRecord
    simulations: tuple[ReplayedSimulation, ...]
    outcome: TrialOutcome

    @property
    def is_same_end(self) -> bool:
        """Whether it ended with the same loss, bit for bit, or failed for the same reason."""
        return self.record.outcome is not None and self.record.outcome.same_result(self.outcome)

    @property
    def is_same(self) -> bool:
        """Whether nothing differs of what can be compared."""
        differs = any(item.verdict is Verdict.DIFFERENT for item in self.simulations)
        return self.is_same_end and not differs


def replay(
    run: KnownRun, trial: int, code: RunCode, outputs: StoredOutputs, service: SimulationService
) -> Replay:
    """Run the simulations of a trial again and compare what they give with what is stored.

    Args:
        run: the trial's.
        trial: its number.
        code: the run's.
        outputs: where the stored outputs are.
        service: runs simulations; it must not find them in the result store.

    Raises:
        NotThereError: if there's no such trial.
        RunStateError: if it hasn't ended.
        ServiceError: if simulations can't be run.
    """
    record = run.record(trial)
    if record.outcome is None:
        raise RunStateError(
            f"Trial {trial} of {run.run_id} hasn't ended: there's nothing to compare with.",
            hint=f"See how the run is: mops adaptive status --run-id {run.run_id}",
        )
    params, ref = record.trial.parameters.params, run.plan.bundle_ref
    futures = [
        service.submit(code.fn_ref, params, seed, bundle_ref=ref) for seed in record.trial.seeds
    ]
    returns = service.gather(futures)
    stored = outputs.of_replicates(record.trial)
    numbered = enumerate(zip(record.trial.seeds, stored, returns, strict=True))
    simulations = tuple(_compared(number, *found) for number, found in numbered)
    return Replay(record, simulations, _outcome(returns, code))


def outputs_hash(tables: Mapping[str, bytes]) -> str:
    """Return the SHA-256 of a simulation's tables, 64 hex digits.

    Hashed are, for each table by name, the name and the Arrow IPC stream, each after its length as
    eight bytes, big-endian.
    """
    hashed = hashlib.sha256()
    for name in sorted(tables):
        for part in (name.encode(), tables[name]):
            hashed.update(len(part).to_bytes(8, "big"))
            hashed.update(part)
    return hashed.hexdigest()


def _compared(
    replicate: int, seed: int, stored: SimReturn | None, found: SimReturn
) -> ReplayedSimulation:
    hashes = [
        outputs_hash(dict(item.tables)) if item is not None and item.failure is None else None
        for item in (stored, found)
    ]
    differences: list[Difference] = []
    if stored is None:
        verdict = Verdict.NOT_STORED if found.failure is None else Verdict.FAILED
    else:
        # Equal hashes are equal outputs; others may be, as what lies beneath a null is anything.
        differences = [] if hashes[0] == hashes[1] else compare(stored, found)
        verdict = Verdict.DIFFERENT if differences else Verdict.SAME
    return ReplayedSimulation(
        replicate, seed, verdict, hashes[0], hashes[1], tuple(differences), found.failure
    )


def _outcome(returns: Sequence[SimReturn], code: RunCode) -> TrialOutcome:
    """Return how the trial ends with these simulations, as the run's loop has it."""
    failure = next((item.failure for item in returns if item.failure is not None), None)
    if failure is None:
        with closing(code.evaluator()) as evaluator:
            (evaluated,) = evaluator.evaluate([[dict(item.tables) for item in returns]])
        if evaluated.failure is None:
            return TrialOutcome(TrialStatus.COMPLETED, evaluated.loss, evaluated.parts)
        failure = evaluated.failure
    timeout = failure.reason is FailureReason.TIMEOUT
    return TrialOutcome(
        TrialStatus.TIMEOUT if timeout else TrialStatus.FAILED,
        reason=failure.reason.value,
        message=failure.message,
        details=failure.details,
    )
