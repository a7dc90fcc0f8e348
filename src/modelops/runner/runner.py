"""A run from its request to its results: its parts put together, and what the journal is told."""

import datetime
import json
import logging
import os
from contextlib import ExitStack, closing
from pathlib import Path

from modelops.algorithms.discovery import create_algorithm
from modelops.bundles.access import RegistryAccess
from modelops.bundles.cache import BundleCache
from modelops.bundles.discovery import resolve_model, resolve_targets
from modelops.bundles.stores import store_of
from modelops.contracts import (
    AdaptiveAlgorithm,
    AlgorithmSettings,
    HasPosterior,
    RunContext,
    RunPlan,
)
from modelops.core.errors import JournalError, ModelOpsError, SpecError
from modelops.core.settings import Home
from modelops.environments import EnvironmentCache
from modelops.runner.database import JournalLostError, Patience
from modelops.runner.driver import RunDriver, RunInterruptedError
from modelops.runner.held_lease import held_lease
from modelops.runner.instructions import Stop
from modelops.runner.journal import Journal, RunState, Wanted
from modelops.runner.leases import LeaseLostError
from modelops.runner.log import RunLog, log_event, log_profile
from modelops.runner.metrics import Observers, RunMetrics, watched
from modelops.runner.model import model_of
from modelops.runner.posterior import write_posterior
from modelops.runner.request import RunEnvironment, RunRequest
from modelops.runner.results import has_results, write_profile, write_results
from modelops.runner.termination import Termination
from modelops.services.dask_simulation import DaskSimulationService
from modelops.worker.bundle_evaluator import BundleEvaluator

# How long a database may be away before the run is given up; it can be started again then.
_PATIENCE_SECONDS = 300.0

_ENDED = {
    RunState.FINISHED: "was finished",
    RunState.CANCELLED: "was cancelled",
    RunState.FAILED: "has failed",
}


class Runner:
    """Puts a run's parts together and carries it out."""

    def __init__(
        self,
        request: RunRequest,
        environment: RunEnvironment,
        registry: RegistryAccess,
        ready_file: Path | None,
        termination: Termination,
    ) -> None:
        self._request = request
        self._environment = environment
        self._registry = registry
        self._ready_file = ready_file
        self._termination = termination
        self._metrics: RunMetrics | None = None
        self._is_ready = False
        # Known once the bundle was opened for the run.
        self._fn_ref: str | None = None

    def run(self) -> int:
        """Carry the run out, from where the journal says that it is.

        Raises:
            ModelOpsError: if it failed; the journal holds the message then.
            RunInterruptedError: if a signal ended it.
        """
        plan = self._request.plan
        with watched(
            self._request.run_id, plan.type, plan.n_trials, self._why_not_ready
        ) as self._metrics:
            return self._run()

    def _why_not_ready(self) -> str:
        return "" if self._is_ready else "the run hasn't begun"

    def _run(self) -> int:
        run_id, plan = self._request.run_id, self._request.plan
        if self._ready_file is not None:
            self._ready_file.unlink(missing_ok=True)
        with Journal.open(self._environment.database_url, self._patience()) as journal:
            state = journal.begin(run_id, plan, _now())
            if journal.is_settled(run_id):
                return self._leave_as_it_is(journal, state)
            with held_lease(
                journal,
                self._environment.database_url,
                run_id,
                is_over=lambda: self._termination.exit_code is not None,
            ):
                # The runner that had it until now may have come to the end.
                state = journal.begin(run_id, plan, _now())
                if journal.is_settled(run_id):
                    return self._leave_as_it_is(journal, state)
                return self._carry_out(journal)

    def _leave_as_it_is(self, journal: Journal, state: RunState) -> int:
        self._write_results(journal, only_if_missing=True)
        log_event(str(state), message=f"The run {_ENDED[state]} already.")
        self._announce_ready()
        return 0

    def _carry_out(self, journal: Journal) -> int:
        run_id = self._request.run_id
        journal.start(run_id, _now())
        try:
            stop = self._follow_unless_cancelled(journal)
            self._write_results(journal)
        except (RunInterruptedError, JournalLostError, LeaseLostError):
            raise
        except Exception as error:
            _record_failure(journal, run_id, error)
            raise
        state = _end_state(stop)
        journal.finish(run_id, state, stop.message, _now())
        if stop.failed:
            log_event("failed", logging.ERROR, message=stop.message)
            return 1
        log_event(str(state), **_outcome(journal, run_id))
        return 0

    def _patience(self) -> Patience:
        return Patience(
            seconds=_PATIENCE_SECONDS,
            is_over=lambda: self._termination.exit_code is not None,
            on_lost=lambda reason, seconds: log_event(
                "journal_lost", logging.WARNING, message=reason, patience_seconds=seconds
            ),
            on_back=lambda: log_event("journal_back"),
        )

    def _follow_unless_cancelled(self, journal: Journal) -> Stop:
        if journal.wanted(self._request.run_id) is not Wanted.CANCELLED:
            return self._follow(journal)
        # No scheduler is needed for that.
        self._announce_ready()
        return Stop(failed=False, cancelled=True)

    def _follow(self, journal: Journal) -> Stop:
        plan = self._request.plan
        log_event(
            "start",
            algorithm=plan.type,
            bundle=plan.bundle_ref.digest,
            n_trials=plan.n_trials,
            n_parallel=plan.n_parallel,
            replicates=plan.replicates,
            scheduler=self._environment.dask_scheduler,
        )
        with ExitStack() as parts:
            algorithm = create_algorithm(plan.type, plan.space, _settings(plan))
            store = store_of(plan.bundle_ref, self._registry)
            if plan.public_key is not None:
                # Workers do the same; here the targets' code is run. Runs that demand no signature
                # don't pay for the import.
                from modelops.bundles.signatures import verify_bundle  # noqa: PLC0415

                verify_bundle(store, plan.bundle_ref, plan.public_key)
            cache = BundleCache(Home.current().bundle_cache)
            bundle = parts.enter_context(cache.open(plan.bundle_ref, store)).folder
            fn_ref = self._fn_ref = resolve_model(bundle, plan.model)
            targets = resolve_targets(bundle, plan.targets)
            if not targets:
                raise SpecError(
                    f"The bundle {plan.bundle_ref} has no target, so no trial would have a loss.",
                    hint="Mark a function with @target that returns a Target, and push it again.",
                )
            environments = EnvironmentCache(Home.current().environments)
            packages = environments.prepare(bundle, plan.execution.environment)
            evaluator = parts.enter_context(closing(BundleEvaluator(bundle, targets, packages)))
            service = parts.enter_context(
                closing(
                    DaskSimulationService(
                        self._environment.dask_scheduler,
                        task_timeout=plan.limits.task_timeout,
                        task_memory=plan.limits.task_memory,
                        execution=plan.execution,
                        object_store_url=self._environment.object_store_url,
                        worker_group=self._request.workers,
                        public_key=plan.public_key,
                    )
                )
            )
            log = RunLog(plan.n_trials)
            observers = Observers([log] if self._metrics is None else [log, self._metrics])
            driver = RunDriver(
                plan,
                RunContext(self._request.run_id, self._environment.variables()),
                fn_ref,
                algorithm=algorithm,
                service=service,
                evaluator=evaluator,
                journal=journal,
                clock=_now,
                observer=observers,
                targets=targets,
            )
            if self._metrics is not None:
                self._metrics.watch(lambda: driver.in_flight, lambda: service.waiting)
            self._announce_ready()
            with self._termination.handled_by(driver.interrupt):
                stop = driver.run()
            log.progress("ended")
            self._write_posterior(algorithm)
            if plan.execution.profile:
                log_profile(service.profile)
                write_profile(
                    self._environment.object_store_url, self._request.run_id, service.profile
                )
            return stop

    def _write_results(self, journal: Journal, *, only_if_missing: bool = False) -> None:
        url, run_id = self._environment.object_store_url, self._request.run_id
        if only_if_missing and has_results(url, run_id):
            return
        trials = list(journal.trials(run_id))
        fn_ref = self._fn_ref or (self._model() if trials else None)
        written = write_results(url, run_id, self._request.plan, trials, fn_ref=fn_ref)
        log_event("results", url=written)

    def _model(self) -> str | None:
        """Return the run's model from its bundle; None, and say so, where that can't be read."""
        try:
            return model_of(self._request.plan, self._registry)
        except ModelOpsError as error:
            # Results without the simulations' ids are better than none.
            log_event("no_task_ids", logging.WARNING, message=error.message)
            return None

    def _write_posterior(self, algorithm: AdaptiveAlgorithm) -> None:
        if not isinstance(algorithm, HasPosterior):
            return
        posterior = algorithm.posterior()
        if posterior.populations:
            url, run_id = self._environment.object_store_url, self._request.run_id
            space = self._request.plan.space
            log_event("posterior", url=write_posterior(url, run_id, space, posterior))

    def _announce_ready(self) -> None:
        self._is_ready = True
        if self._ready_file is None:
            return
        new = self._ready_file.with_name(f".{self._ready_file.name}.{os.getpid()}")
        content = {"pid": os.getpid(), "run_id": self._request.run_id}
        new.write_text(json.dumps(content), encoding="utf-8")
        new.replace(self._ready_file)


def _end_state(stop: Stop) -> RunState:
    if stop.cancelled:
        return RunState.CANCELLED
    return RunState.FAILED if stop.failed else RunState.FINISHED


def _settings(plan: RunPlan) -> AlgorithmSettings:
    return AlgorithmSettings(
        seed=plan.seed,
        n_trials=plan.n_trials,
        n_parallel=plan.n_parallel,
        options=plan.options,
    )


def _outcome(journal: Journal, run_id: str) -> dict[str, object]:
    progress = journal.progress(run_id)
    if progress is None:
        return {}
    return {
        "completed_trials": progress.completed,
        "failed_trials": progress.failed,
        "best_loss": progress.best_loss,
        "best_trial": progress.best_trial,
    }


def _record_failure(journal: Journal, run_id: str, error: Exception) -> None:
    message = str(error) if isinstance(error, ModelOpsError) else f"{type(error).__name__}: {error}"
    try:
        # The cause lies outside the run's results, and may be gone by the next start.
        journal.finish(run_id, RunState.FAILED, message, _now(), is_settled=False)
    except JournalError as second:
        log_event("unrecorded", logging.ERROR, message=second.message)


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
