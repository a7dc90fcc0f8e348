"""The process that carries out one run: `python -m modelops.runner.main --run FILE`.

Exit codes: 0 the run is finished; 1 it failed, the journal says why; 2 invalid input; 128 + n it
was ended by signal n and goes on when it's started again.
"""

import argparse
import datetime
import json
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path

from modelops.algorithms.discovery import create_algorithm
from modelops.bundles.cache import BundleCache
from modelops.bundles.discovery import resolve_model, resolve_targets
from modelops.bundles.stores import store_of
from modelops.contracts import AlgorithmSettings, RunContext, RunPlan
from modelops.core.errors import JournalError, ModelOpsError, SpecError
from modelops.core.settings import Home
from modelops.runner.driver import RunDriver, RunInterruptedError
from modelops.runner.instructions import Stop
from modelops.runner.journal import Journal, RunState
from modelops.runner.log import RunLog, log_event, log_to_stderr
from modelops.runner.request import RunEnvironment, RunRequest
from modelops.runner.results import has_results, write_results
from modelops.runner.termination import Termination
from modelops.services.dask_simulation import DaskSimulationService
from modelops.worker.bundle_evaluator import BundleEvaluator
from modelops.worker.lifeline import end_with_starter


def main(argv: Sequence[str] | None = None, environ: Mapping[str, str] = os.environ) -> int:
    """Run, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m modelops.runner.main", description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="the JSON file of the run")
    parser.add_argument("--ready-file", type=Path, help="written once the run is ready")
    options = parser.parse_args(argv)
    end_with_starter()
    termination = Termination()
    termination.install()
    log_to_stderr("unknown")
    try:
        request = RunRequest.read(options.run)
        log_to_stderr(request.run_id)
        runner = Runner(request, RunEnvironment.read(environ), options.ready_file, termination)
        return runner.run()
    except RunInterruptedError:
        log_event("interrupted", exit_code=termination.exit_code)
        return termination.exit_code or 1
    except ModelOpsError as error:
        log_event("failed", logging.ERROR, message=error.message, hint=error.hint or None)
        return 2 if error.exit_code == 2 else 1
    except Exception:
        # Nobody reads a traceback that goes anywhere else than the log.
        logging.getLogger("modelops.runner").exception("failed")
        return 1


class Runner:
    """Puts a run's parts together and carries it out."""

    def __init__(
        self,
        request: RunRequest,
        environment: RunEnvironment,
        ready_file: Path | None,
        termination: Termination,
    ) -> None:
        self._request = request
        self._environment = environment
        self._ready_file = ready_file
        self._termination = termination

    def run(self) -> int:
        """Carry the run out, from where the journal says that it is.

        Raises:
            ModelOpsError: if it failed; the journal holds the message then.
            RunInterruptedError: if a signal ended it.
        """
        run_id, plan = self._request.run_id, self._request.plan
        if self._ready_file is not None:
            self._ready_file.unlink(missing_ok=True)
        with Journal.open(self._environment.database_url) as journal:
            if journal.begin(run_id, plan, _now()) is RunState.FINISHED:
                self._write_results(journal, only_if_missing=True)
                log_event("finished", message="The run was finished already.")
                self._announce_ready()
                return 0
            journal.start(run_id, _now())
            try:
                stop = self._follow(journal)
                self._write_results(journal)
            except RunInterruptedError:
                raise
            except Exception as error:
                _record_failure(journal, run_id, error)
                raise
            state = RunState.FAILED if stop.failed else RunState.FINISHED
            journal.finish(run_id, state, stop.message, _now())
            if stop.failed:
                log_event("failed", logging.ERROR, message=stop.message)
                return 1
            log_event("finished", **_outcome(journal, run_id))
            return 0

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
            store = store_of(plan.bundle_ref, self._environment.modelops_bundle_registry)
            bundle = BundleCache(Home.current().bundle_cache).fetch(plan.bundle_ref, store)
            fn_ref = resolve_model(bundle, plan.model)
            targets = resolve_targets(bundle, plan.targets)
            if not targets:
                raise SpecError(
                    f"The bundle {plan.bundle_ref} has no target, so no trial would have a loss.",
                    hint="Mark a function with @target that returns a Target, and push it again.",
                )
            evaluator = parts.enter_context(closing(BundleEvaluator(bundle, targets)))
            service = parts.enter_context(
                closing(
                    DaskSimulationService(
                        self._environment.dask_scheduler,
                        task_timeout=plan.limits.task_timeout,
                        worker_group=self._request.workers,
                    )
                )
            )
            log = RunLog(plan.n_trials)
            driver = RunDriver(
                plan,
                RunContext(self._request.run_id, self._environment.variables()),
                fn_ref,
                algorithm=algorithm,
                service=service,
                evaluator=evaluator,
                journal=journal,
                clock=_now,
                observer=log,
            )
            self._announce_ready()
            with self._termination.handled_by(driver.interrupt):
                stop = driver.run()
            log.progress("ended")
            return stop

    def _write_results(self, journal: Journal, *, only_if_missing: bool = False) -> None:
        url, run_id = self._environment.object_store_url, self._request.run_id
        if only_if_missing and has_results(url, run_id):
            return
        written = write_results(url, run_id, self._request.plan, journal.trials(run_id))
        log_event("results", url=written)

    def _announce_ready(self) -> None:
        if self._ready_file is None:
            return
        new = self._ready_file.with_name(f".{self._ready_file.name}.{os.getpid()}")
        content = {"pid": os.getpid(), "run_id": self._request.run_id}
        new.write_text(json.dumps(content), encoding="utf-8")
        new.replace(self._ready_file)


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
        journal.finish(run_id, RunState.FAILED, message, _now())
    except JournalError as second:
        log_event("unrecorded", logging.ERROR, message=second.message)


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


if __name__ == "__main__":
    sys.exit(main())
