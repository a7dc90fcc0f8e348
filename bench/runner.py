"""What coordinating a run costs, how busy it keeps workers, and what doing it again costs.

    python bench/runner.py                all
    python bench/runner.py cost again     these measurements alone

Bars: a trial of five replicates costs the coordinator, outside the algorithm, 0.5 ms at 10,000
trials with the journal on SQLite and 2 ms on PostgreSQL, and as much then as among the first 1,000
(within 15%); eight slots are busy for 95% of the time with log-normal times (sigma 0.5) and four
times as many trials under way; a finished study that is run again takes 5% of the first time,
with simulations of 100 ms; a run goes on within 3 s after 3,000 trials of TPE.

The coordinator's cost is the time that a run takes whose simulations end at once, less that of the
algorithm's calls: proposing seeds, submitting, the journal, evaluating in the bundle's process.
"""

import sys
from collections.abc import Callable, Mapping

import _runner_cost
import _runner_load
import _runner_resume
from _figures import carry_out
from _runner_case import RunnerCase, runner_case

MEASUREMENTS: Mapping[str, Callable[[RunnerCase], list[bool]]] = {
    "cost": _runner_cost.measure_cost,
    "busy": _runner_load.measure_busy,
    "again": _runner_load.measure_again,
    "resume": _runner_resume.measure_resume,
}


if __name__ == "__main__":
    sys.exit(carry_out("Measures runs of the runner's loop.", MEASUREMENTS, runner_case))
