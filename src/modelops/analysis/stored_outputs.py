"""The outputs of a run's simulations, as the result store has them."""

from collections.abc import Iterable, Sequence

from modelops.contracts import RunPlan, SimReturn
from modelops.result_store.opening import open_place
from modelops.runner.records import Trial
from modelops.services.stored_results import StoredResults


class StoredOutputs:
    """Finds the outputs of a run's trials. To be used in one thread at a time.

    Outputs are kept by environment, that of the workers that simulated them. It's looked in those
    first in which something was simulated for this run, then in ours, then in the others: another
    run may have simulated the same before.
    """

    def __init__(self, url: str, run_id: str, plan: RunPlan, fn_ref: str, ours: str) -> None:
        """Look which environments there are.

        Args:
            url: of the object store.
            run_id: the run's.
            plan: the run's.
            fn_ref: `module:function` of its model.
            ours: the digest of the bundle's environment on this machine.

        Raises:
            ResultStoreError: if the store can't be opened or listed.
        """
        self._url, self._plan, self._fn_ref = url, plan, fn_ref
        place = open_place(url)
        self._environments = sorted(
            place.environments(),
            key=lambda name: (not place.has_run(name, run_id), name != ours, name),
        )
        self._stored: dict[str, StoredResults] = {}

    def of_trial(self, trial: Trial) -> list[SimReturn] | None:
        """Return what each replicate of a trial gave; None unless all of them are there.

        All are of one environment.
        """
        digests = [bytes.fromhex(item) for item in trial.task_ids(self._plan, self._fn_ref)]
        for environment in self._environments:
            found = self._found(environment, digests)
            if found is not None:
                return found
        return None

    def of_replicates(self, trial: Trial) -> list[SimReturn | None]:
        """Return what each replicate of a trial gave, as far as it's there."""
        whole = self.of_trial(trial)
        if whole is not None:
            return list(whole)
        digests = [bytes.fromhex(item) for item in trial.task_ids(self._plan, self._fn_ref)]
        return [self._first(digest) for digest in digests]

    def _first(self, digest: bytes) -> SimReturn | None:
        found = (self._results(name).outcome(digest) for name in self._environments)
        return next((outcome for outcome in found if outcome is not None), None)

    def _found(self, environment: str, digests: Sequence[bytes]) -> list[SimReturn] | None:
        stored = self._results(environment)
        found = []
        for digest in digests:
            outcome = stored.outcome(digest)
            if outcome is None:
                return None
            found.append(outcome)
        return found

    def _results(self, environment: str) -> StoredResults:
        # Each is listed when it's looked in for the first time: most runs need one.
        if environment not in self._stored:
            self._stored[environment] = StoredResults(self._url, environment)
        return self._stored[environment]


def number_words(numbers: Iterable[int]) -> str:
    """Return numbers in words, runs of them as one: `0-3, 7, 9-10`."""
    spans: list[list[int]] = []
    for number in sorted(numbers):
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in spans)
