"""How long it takes to score 1,000 stored trials anew; nothing is simulated.

Five replicates of 50 points each. From listing the store to the last loss, children and all.
"""

import sys
import tempfile
from pathlib import Path
from statistics import median

from _figures import RUNS, figure, seconds

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from modelops.analysis.rescoring import best_first, rescore
from stored_run import StoredRun, make_plan

TRIALS = 1000
BAR_SECONDS = 3.0


def main() -> int:
    """Print the figure; return 1 if the bar falls."""
    with tempfile.TemporaryDirectory() as folder:
        plan = make_plan(replicates=5, n_trials=TRIALS)
        made = StoredRun(Path(folder), plan, points=50, trials=TRIALS)

        def work() -> None:
            found = rescore(made.run, made.outputs(), made.code.evaluator)
            assert len(best_first(found)) == TRIALS

        value = median(seconds(work) for _ in range(RUNS))
    return 0 if figure("rescore 1,000 stored trials", value, "s", bar=BAR_SECONDS) else 1


if __name__ == "__main__":
    sys.exit(main())
