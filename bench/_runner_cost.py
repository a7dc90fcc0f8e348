"""The coordinator's cost of a trial, on both databases."""

import itertools
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from _figures import figure
from _runner_case import Instantly, RunnerCase, Timed, carry_out, evaluator, make_plan

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from modelops.services.chunked import ChunkedService, ServiceOptions
from postgres_process import postgres_process

TRIALS, PART, ROUNDS = 10_000, 1_000, 3
SQLITE_BAR, POSTGRES_BAR, FLAT_BAR = 0.5, 2.0, 1.15


def measure_cost(case: RunnerCase) -> list[bool]:
    """The time of a trial whose simulations end at once, less the algorithm's own."""
    holds = []
    with _urls(case) as urls:
        for name, bar in (("SQLite", SQLITE_BAR), ("PostgreSQL", POSTGRES_BAR)):
            runs = [_costs(case.count(TRIALS), urls[name]) for _ in range(ROUNDS)]
            whole = median(map(_mean, runs))
            part = case.count(PART)
            late = median(_mean(costs[-part:]) for costs in runs)
            # The very first wait for a process to start.
            first = part // 2
            early = median(_mean(costs[first : first + part]) for costs in runs)
            holds += [
                figure(f"coordinator's cost of a trial, {name}", whole * 1e3, "ms", bar=bar),
                figure(
                    f"the last {part} trials / the first, {name}",
                    late * 1e3,
                    "ms",
                    baseline=early * 1e3,
                    bar=FLAT_BAR,
                ),
            ]
    return holds


def _costs(n_trials: int, url: str) -> list[float]:
    """Return what each trial cost, in seconds."""
    plan = make_plan(n_trials)
    with ChunkedService(Instantly(), ServiceOptions()) as service, evaluator() as found:
        algorithm = Timed.of(plan)
        end = carry_out(plan, url, algorithm=algorithm, service=service, evaluator=found)
    marks = [*algorithm.marks, end - algorithm.seconds]
    return [after - before for before, after in itertools.pairwise(marks)]


def _mean(costs: list[float]) -> float:
    return sum(costs) / len(costs)


class _Urls:
    """Addresses of new databases, by the kind's name."""

    def __init__(self, case: RunnerCase, new_database: object) -> None:
        self._case = case
        self._new_database = new_database

    def __getitem__(self, name: str) -> str:
        unique = f"bench_{uuid.uuid4().hex}"
        if name == "SQLite":
            return f"sqlite:///{self._case.folder / unique}.db"
        assert callable(self._new_database)
        url: str = self._new_database(unique)
        return url


@contextmanager
def _urls(case: RunnerCase) -> Iterator[_Urls]:
    with postgres_process() as process:
        process.start()
        yield _Urls(case, process.new_database)
