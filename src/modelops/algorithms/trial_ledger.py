"""Which trials were asked and told: the part of the contract that all algorithms share."""

from collections.abc import Iterable, Sequence

from modelops.contracts import ContractError, TrialResult, TrialStatus, UniqueParameterSet


class TrialLedger:
    """Numbers trials and sorts out what is told, so that `tell` is idempotent and free of order."""

    def __init__(self) -> None:
        self._param_ids: list[str] = []
        self._told: set[int] = set()

    @property
    def asked(self) -> int:
        """How many trials were asked; the number of the next one."""
        return len(self._param_ids)

    def add(self, parameters: UniqueParameterSet) -> None:
        """Note an asked trial.

        Raises:
            ContractError: if its number isn't the next one.
        """
        if parameters.trial != self.asked:
            raise ContractError(f"trial {parameters.trial} was asked as number {self.asked}")
        self._param_ids.append(parameters.param_id)

    def restore(self, asked: Iterable[UniqueParameterSet], told: Iterable[int]) -> None:
        """Note all trials of a snapshot, and which of them were told."""
        for parameters in asked:
            self.add(parameters)
        self._told.update(told)

    def new_results(self, results: Sequence[TrialResult]) -> list[tuple[int, TrialResult]]:
        """Return those not told before, sorted by trial, and note them as told.

        A result without a trial's number belongs to the first trial of its parameters that hasn't
        been told.

        Raises:
            ContractError: if a trial was never asked, its parameters are others, or one call tells
                two different losses of one trial. Nothing is noted then.
        """
        fresh: dict[int, TrialResult] = {}
        for result in results:
            trial = self._trial_of(result, fresh)
            if trial is None or trial in self._told:
                continue
            if trial in fresh and _meaning(fresh[trial]) != _meaning(result):
                raise ContractError(f"trial {trial} was told two different results at once")
            fresh[trial] = result
        self._told.update(fresh)
        return sorted(fresh.items())

    def _trial_of(self, result: TrialResult, fresh: dict[int, TrialResult]) -> int | None:
        if result.trial is None:
            same = [i for i, known in enumerate(self._param_ids) if known == result.param_id]
            if not same:
                raise ContractError(f"no trial has the param_id {result.param_id!r}")
            return next((i for i in same if i not in self._told and i not in fresh), None)
        if result.trial >= self.asked:
            raise ContractError(f"trial {result.trial} was never asked")
        if self._param_ids[result.trial] != result.param_id:
            raise ContractError(f"the param_id of trial {result.trial} isn't {result.param_id!r}")
        return result.trial


def _meaning(result: TrialResult) -> tuple[TrialStatus, float | None]:
    """What an algorithm learns; the loss of a failed trial is NaN, which equals nothing."""
    return result.status, result.loss if result.status is TrialStatus.COMPLETED else None
