"""Pausing, resuming and cancelling a run on any provider: its journal holds what is wanted of it.

The runner reads that there. Where it is gone, what is left to do is done here.
"""

import datetime
import getpass
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from modelops.bundles.access import RegistryAccess
from modelops.cli import session
from modelops.cli.advice import next_step
from modelops.cli.options import Options
from modelops.cli.output import say
from modelops.cli.runs import is_running, journal_of, object_store_of, progress_of, run_states
from modelops.contracts import RunPlan
from modelops.core.errors import ModelOpsError, NotThereError, RunStateError
from modelops.infra.chain import StackChain
from modelops.providers.base import REGISTRY_BINDINGS, Component
from modelops.result_store.files import is_writable
from modelops.runner.held_lease import LEASE_SECONDS
from modelops.runner.holder import Holder
from modelops.runner.journal import Journal
from modelops.runner.model import model_of
from modelops.runner.progress import RunProgress, RunState, Wanted
from modelops.runner.results import write_results

# The journal can't tell when it has changed.
_RETRY_SECONDS = 0.25
# How long to wait for the runner before looking whether it's there, which takes an engine.
_FIRST_LOOK_SECONDS, _NEXT_LOOK_SECONDS = 2.0, 10.0


@dataclass(frozen=True)
class Control:
    """What can be done to one run from outside.

    Attributes:
        seconds: how long to wait until the run is in the state; None doesn't wait.
    """

    options: Options
    chain: StackChain
    run_id: str
    seconds: float | None

    def pause(self) -> str:
        """Let what is under way end and start nothing new; return the run's state.

        Raises:
            NotThereError: if there's no such run.
            RunStateError: if it has ended, or isn't paused in time.
        """
        with journal_of(self.chain, self.run_id) as journal:
            self._want(journal, Wanted.PAUSED)
            if self.seconds is not None:
                self._await(journal, RunState.PAUSED)
            return self._state(journal)

    def cancel(self) -> str:
        """End the run as it is; return its state.

        Raises:
            NotThereError: if there's no such run.
            RunStateError: if it has finished or failed for good, or isn't cancelled in time.
        """
        with journal_of(self.chain, self.run_id) as journal:
            self._want(journal, Wanted.CANCELLED)
            self._await_cancelled(journal)
            return self._state(journal)

    def resume(self) -> str:
        """Let the run go on, whether it was paused, interrupted or cancelled; return its state.

        Raises:
            NotThereError: if there's no such run.
            RunStateError: if it has finished or failed for good, or doesn't go on in time.
        """
        with journal_of(self.chain, self.run_id) as journal:
            if progress_of(journal, self.run_id).state is RunState.CANCELLING:
                self._await_cancelled(journal)
            if progress_of(journal, self.run_id).state is RunState.CANCELLED:
                # Its runner has ended as it should, so that `up` alone would leave it at that.
                with suppress(NotThereError):  # the stack may be down already
                    self.chain.down(Component.ADAPTIVE, self.run_id)
            self._want(journal, Wanted.RUNNING)
            if not is_running(self.chain, self.run_id):
                self._bring_up(journal)
            elif self.seconds is not None:
                self._await(journal, RunState.RUNNING)
            return self._state(journal)

    def _want(self, journal: Journal, wanted: Wanted) -> None:
        try:
            journal.want(self.run_id, wanted, _who(), datetime.datetime.now(datetime.UTC))
        except RunStateError as error:
            progress = progress_of(journal, self.run_id)
            raise RunStateError(error.message, hint=next_step(progress, progress.state)) from None

    def _state(self, journal: Journal) -> str:
        progress = progress_of(journal, self.run_id)
        return run_states(self.chain, [progress])[self.run_id]

    def _await_cancelled(self, journal: Journal) -> None:
        has_failed = progress_of(journal, self.run_id).state is RunState.FAILED
        if self.seconds is not None and not has_failed:
            self._await(journal, RunState.CANCELLED)
        progress = progress_of(journal, self.run_id)
        if progress.state is not RunState.CANCELLED and not is_running(self.chain, self.run_id):
            self._end_without_runner(journal)

    def _end_without_runner(self, journal: Journal) -> None:
        plan = journal.plan(self.run_id)
        if plan is None:
            raise NotThereError(f"There is no run {self.run_id!r}.", hint="See: mops adaptive list")
        with object_store_of(self.chain) as store:
            if is_writable(store):
                # A runner on another machine may be there all the same, or come.
                lease = journal.acquire(self.run_id, Holder.current(), LEASE_SECONDS)
                trials = list(journal.trials(self.run_id))
                fn_ref = self._model(plan) if trials else None
                write_results(store, self.run_id, plan, trials, fn_ref)
                now = datetime.datetime.now(datetime.UTC)
                journal.finish(self.run_id, RunState.CANCELLED, "", now)
                journal.release(lease)
                return
        # A runner writes the results where this machine can't: one that finds its run cancelled
        # does nothing else.
        with suppress(NotThereError):  # the stack may be down already
            self.chain.down(Component.ADAPTIVE, self.run_id)
        self._bring_up(journal)
        self._await(journal, RunState.CANCELLED)

    def _model(self, plan: RunPlan) -> str | None:
        """Return the run's model from its bundle; None, and say so, where that can't be read."""
        try:
            with self.chain.reach(Component.REGISTRY, REGISTRY_BINDINGS) as bindings:
                return model_of(plan, RegistryAccess.from_bindings(bindings).completed(os.environ))
        except ModelOpsError as error:
            say(self.options, f"The results don't name the simulations: {error.message}")
            return None

    def _bring_up(self, journal: Journal) -> None:
        plan = journal.plan(self.run_id)
        if plan is None:
            raise NotThereError(f"There is no run {self.run_id!r}.", hint="See: mops adaptive list")
        chain = session.for_known_run(self.chain, self.run_id, plan)
        session.refuse_dead_workspace(chain)
        chain.up_run(plan.algorithm)

    def _await(self, journal: Journal, goal: RunState) -> None:
        """Wait until the run is in a state or its runner is found to be gone."""
        with self._explaining_interrupts():
            progress = self._poll(journal, goal)
        if progress.state is goal or not progress.state.has_ended:
            return
        if goal is RunState.RUNNING and progress.state is RunState.FINISHED:
            return
        raise RunStateError(
            f"The run {self.run_id} ended before it was {goal}: it is {progress.state}.",
            hint=next_step(progress, progress.state),
        )

    def _poll(self, journal: Journal, goal: RunState) -> RunProgress:
        began = time.monotonic()
        next_look, is_said = began + _FIRST_LOOK_SECONDS, False
        deadline = began + (self.seconds or 0.0)
        while True:
            progress = progress_of(journal, self.run_id)
            if progress.state is goal or progress.state.has_ended:
                return progress
            now = time.monotonic()
            under_way = progress.asked - progress.completed - progress.failed
            if now >= deadline:
                raise RunStateError(
                    f"{self.run_id} isn't {goal} after {self.seconds:g} s: "
                    f"it is {progress.state}, with {under_way} trials under way.",
                    hint="That is still wanted of it. See: "
                    f"mops adaptive status --run-id {self.run_id}",
                )
            if now >= next_look:
                if not is_running(self.chain, self.run_id):
                    return progress_of(journal, self.run_id)
                if not is_said:
                    say(self.options, f"{progress.state}; {under_way} trials are under way")
                next_look, is_said = time.monotonic() + _NEXT_LOOK_SECONDS, True
            time.sleep(_RETRY_SECONDS)

    @contextmanager
    def _explaining_interrupts(self) -> Iterator[None]:
        try:
            yield
        except KeyboardInterrupt:
            status = f"mops adaptive status --run-id {self.run_id}"
            say(self.options, f"\nIt's written down and will be done. See: {status}")
            raise


def _who() -> str:
    try:
        user = getpass.getuser()
    except (ImportError, KeyError, OSError):
        # In a container a user may have a number and no name.
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"
