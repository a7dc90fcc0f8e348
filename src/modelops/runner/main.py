"""The process that carries out one run: `python -m modelops.runner.main --run FILE`.

Exit codes: 0 nothing is left to do (the run finished, was cancelled, or had failed for good before
this start); 1 it failed, the journal says why; 2 invalid input; 75 it can't go on now, since
another runner has the run, or the scheduler or the database is away; 128 + n it was ended by signal
n. After the latter two it goes on when it's started again.
"""

import argparse
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from modelops.bundles.access import RegistryAccess
from modelops.core.errors import ModelOpsError
from modelops.runner.database import JournalLostError
from modelops.runner.driver import RunInterruptedError
from modelops.runner.leases import LeaseHeldError, LeaseLostError
from modelops.runner.log import log_event, log_to_stderr
from modelops.runner.request import RunEnvironment, RunRequest
from modelops.runner.runner import Runner
from modelops.runner.termination import Termination
from modelops.services.dask_connection import SchedulerAwayError
from modelops.worker.lifeline import end_with_starter

PASSING_EXIT_CODE = 75
"""EX_TEMPFAIL of sysexits.h: whoever keeps the runner may start it again."""
_PASSING = (JournalLostError, LeaseHeldError, LeaseLostError, SchedulerAwayError)


def main(argv: Sequence[str] | None = None, environ: Mapping[str, str] = os.environ) -> int:
    """Run, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m modelops.runner.main", description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="the JSON file of the run")
    parser.add_argument("--ready-file", type=Path, help="written once the run is ready")
    options = parser.parse_args(argv)
    end_with_starter()
    termination = Termination()
    termination.install()
    try:
        log_to_stderr("unknown")
        request = RunRequest.read(options.run)
        log_to_stderr(request.run_id)
        environment = RunEnvironment.read(environ)
        registry = RegistryAccess(environment.modelops_bundle_registry).completed(environ)
        return Runner(request, environment, registry, options.ready_file, termination).run()
    except RunInterruptedError:
        log_event("interrupted", exit_code=termination.exit_code)
        return termination.exit_code or 1
    except ModelOpsError as error:
        if isinstance(error, JournalLostError) and termination.exit_code is not None:
            log_event("interrupted", exit_code=termination.exit_code, message=error.message)
            return termination.exit_code
        log_event("failed", logging.ERROR, message=error.message, hint=error.hint or None)
        if isinstance(error, _PASSING):
            return PASSING_EXIT_CODE
        return 2 if error.exit_code == 2 else 1
    except Exception:
        # Nobody reads a traceback that goes anywhere else than the log.
        logging.getLogger("modelops.runner").exception("failed")
        return 1


if __name__ == "__main__":
    sys.exit(main())
