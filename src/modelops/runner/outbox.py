"""What a run is about to write and to submit: many records are one transaction.

The journal has a record before anything that follows from it leaves the process: a simulation is
submitted once its trial is written, and every result that the algorithm was told before it asked
for that trial. So a runner that is killed has told nobody of what it loses; the one after it comes
to the same trials, or to others if a simulation that runs again doesn't give the same.
"""

import datetime
import time
from collections.abc import Callable, Sequence

from modelops.runner.instructions import RecordAsk, RecordResult, Submit
from modelops.runner.journal import Journal
from modelops.runner.progress import Wanted
from modelops.runner.records import EndedTrial, Trial, TrialOutcome

MOST_RECORDS = 256
LONGEST_SECONDS = 0.005
"""How long a simulation that could start may wait for others, where asking takes time."""


class Outbox:
    """Collects records and simulations, and sends them in that order."""

    def __init__(
        self,
        journal: Journal,
        run_id: str,
        *,
        submit: Callable[[Sequence[Submit]], None],
        ended: Callable[[int, TrialOutcome], None],
        noted: Callable[[Wanted], None],
        wrote: Callable[[float], None],
        clock: Callable[[], datetime.datetime],
    ) -> None:
        """Make it.

        Args:
            journal: where records go.
            run_id: whose they are.
            submit: starts simulations.
            ended: told of each trial that ended, once that is written.
            noted: told what is wanted of the run, each time that something is written.
            wrote: told how many seconds that took.
            clock: the time of day, for when a trial ended.
        """
        self._journal = journal
        self._run_id = run_id
        self._submit = submit
        self._tell_ended = ended
        self._note = noted
        self._tell_wrote = wrote
        self._clock = clock
        self._asked: list[Trial] = []
        self._ended: list[EndedTrial] = []
        self._submits: list[Submit] = []
        self._since: float | None = None

    @property
    def is_due(self) -> bool:
        """Whether it's time to send: there is much, or a simulation waits for long."""
        if len(self._asked) + len(self._ended) >= MOST_RECORDS:
            return True
        return self._since is not None and time.monotonic() - self._since > LONGEST_SECONDS

    def add(self, item: RecordAsk | RecordResult | Submit) -> None:
        """Take something to be sent later."""
        match item:
            case RecordAsk(trial):
                self._asked.append(trial)
            case RecordResult(number, outcome, place):
                self._ended.append(EndedTrial(number, outcome, self._clock(), place))
            case Submit():
                self._submits.append(item)
                if self._since is None:
                    self._since = time.monotonic()

    def write(self) -> None:
        """Write the records; what is to be submitted waits.

        Raises:
            JournalError: if that fails.
        """
        if not self._asked and not self._ended:
            return
        asked, ended = self._asked, self._ended
        begun = time.monotonic()
        self._note(self._journal.record(self._run_id, asked=asked, ended=ended))
        self._tell_wrote(time.monotonic() - begun)
        self._asked, self._ended = [], []
        for trial in ended:
            self._tell_ended(trial.number, trial.outcome)

    def send(self) -> None:
        """Write the records, then submit the simulations.

        Raises:
            JournalError: if the records can't be written.
            ServiceError: if the service takes no simulation.
        """
        self.write()
        submits, self._submits = self._submits, []
        self._since = None
        if submits:
            self._submit(submits)
