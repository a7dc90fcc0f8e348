"""How long one simulation takes that takes no time: of a new bundle, of a known one, anew."""

import time
from collections.abc import Callable
from statistics import median, quantiles

import pyarrow as pa
from _execution_case import ExecutionCase, check, trivial_inputs, warm
from _figures import RUNS, figure, seconds

from modelops.contracts import BundleRef, Future, SimReturn, SimulationService

ROUND_TRIPS = 200
COLD_BAR, P50_BAR, P95_BAR = 0.2, 0.008, 0.012
RESTART_BAR = 1.1
"""No slower, and 10% of noise."""
_NAP = 0.02
_ATTEMPTS = 25


def measure_cold(case: ExecutionCase) -> list[bool]:
    """A bundle that was never pulled, then single round trips, then the other worker's first."""
    cold, single, other = [], [], []
    with case.service() as service:
        warm(service, case.ref)
        for number in range(RUNS):
            ref = case.push_new_bundle()
            worker, taken = _where(service, ref)
            cold.append(taken)
            other.append(_first_of_another(service, ref, worker))
            single += [
                _round_trip(service, ref, number * ROUND_TRIPS + index)
                for index in range(case.count(ROUND_TRIPS))
            ]
    centiles = quantiles(single, n=20)
    return [
        figure("new bundle to first result", median(cold), "s", bar=COLD_BAR),
        figure("single round trip, p50", median(single), "s", bar=P50_BAR),
        figure("single round trip, p95", centiles[18], "s", bar=P95_BAR),
        figure("first result of the other worker", median(other), "s", bar=P95_BAR),
    ]


def measure_restart(case: ExecutionCase) -> list[bool]:
    """The first result of a new cluster whose cache is warm, beside one whose cache is empty."""
    warm_seconds, cold_seconds = [], []
    for _ in range(RUNS):
        home = case.folder / f"home-{len(cold_seconds)}"
        for taken in (cold_seconds, warm_seconds):
            with case.another_cluster(home) as cluster, case.service(cluster) as service:
                # The same code each time, in a registry of the cluster's own.
                ref = cluster.push(case.folder / "bundle")
                taken.append(_round_trip(service, ref, 1))
    return [
        figure(
            "first result of a new cluster, warm cache / cold (bar: 1 and 10% noise)",
            median(warm_seconds),
            "s",
            baseline=median(cold_seconds),
            bar=RESTART_BAR,
        )
    ]


def _round_trip(service: SimulationService, ref: BundleRef, salt: int) -> float:
    ((params, seed),) = trivial_inputs(1, salt)
    outcomes: list[SimReturn] = []

    def go() -> None:
        future = service.submit("model:trivial", params, seed, bundle_ref=ref)
        outcomes.append(future.result())

    taken = seconds(go)
    check(outcomes)
    return taken


def _where(service: SimulationService, ref: BundleRef) -> tuple[int, float]:
    outcomes: list[SimReturn] = []

    def go() -> None:
        future = service.submit("model:where", {"seconds": 0.0}, 0, bundle_ref=ref)
        outcomes.append(future.result())

    taken = seconds(go)
    return _worker(outcomes[0]), taken


def _first_of_another(service: SimulationService, ref: BundleRef, known: int) -> float:
    """Return how long the first result took, the nap deducted, that came from another worker."""
    for attempt in range(_ATTEMPTS):
        begun = time.perf_counter()
        ended: dict[int, float] = {}

        def note(at: int, ended: dict[int, float] = ended) -> Callable[[Future], None]:
            return lambda _: ended.setdefault(at, time.perf_counter())

        futures = []
        for at in range(2):
            seed = 1 + 2 * attempt + at
            future = service.submit("model:where", {"seconds": _NAP}, seed, bundle_ref=ref)
            future.add_done_callback(note(at))
            futures.append(future)
        for at, outcome in enumerate(service.gather(futures)):
            if _worker(outcome) != known:
                # A callback may come a moment after the result.
                return ended.get(at, time.perf_counter()) - begun - _NAP
    raise SystemExit("no simulation came to the other worker")


def _worker(outcome: SimReturn) -> int:
    check([outcome])
    worker: int = pa.ipc.open_stream(outcome.tables["output"]).read_all()["worker"][0].as_py()
    return worker
