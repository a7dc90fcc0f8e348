"""How long one simulation takes that takes no time: of a new bundle, of a known one, anew."""

import time
from statistics import median, quantiles

import pyarrow as pa
from _execution_case import ExecutionCase, check, trivial_inputs, warm
from _figures import RUNS, figure, seconds

from modelops.contracts import BundleRef, SimReturn, SimulationService

ROUND_TRIPS, OTHER_ROUND_TRIPS = 200, 40
COLD_BAR, P50_BAR, P95_BAR = 0.2, 0.008, 0.012
RESTART_BAR = 1.1
"""No slower, and 10% of noise."""
_BUSY, _ON_ITS_WAY = 2.0, 0.02
_ATTEMPTS = 50


def measure_cold(case: ExecutionCase) -> list[bool]:
    """A bundle that was never pulled, single round trips, and the same to the other worker."""
    cold, single = [], []
    first_of_other: list[float] = []
    other: list[float] = []
    with case.service() as service:
        warm(service, case.ref)
        for attempt in range(_ATTEMPTS):
            ref = case.push_new_bundle()
            worker, taken = _where(service, ref)
            cold.append(taken)
            trips = _of_another(service, ref, worker, case.count(OTHER_ROUND_TRIPS))
            first_of_other += trips[:1]
            other += trips
            single += [
                _round_trip(service, ref, attempt * ROUND_TRIPS + index)
                for index in range(case.count(ROUND_TRIPS))
            ]
            if len(first_of_other) == RUNS:
                break
        else:
            raise SystemExit("no simulation came to the other worker")
    return [
        figure("new bundle to first result", median(cold), "s", bar=COLD_BAR),
        figure("single round trip, p50", median(single), "s", bar=P50_BAR),
        figure("single round trip, p95", quantiles(single, n=20)[18], "s", bar=P95_BAR),
        figure("first result of the other worker", median(first_of_other), "s", bar=P95_BAR),
        figure("round trip to the other worker, p50", median(other), "s", bar=P50_BAR),
        figure("round trip to the other worker, p95", quantiles(other, n=20)[18], "s", bar=P95_BAR),
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


def _of_another(service: SimulationService, ref: BundleRef, known: int, number: int) -> list[float]:
    """Return how long round trips to the other worker took, the very first first.

    Nothing if Dask chose that one for what was to keep the known one busy.
    """
    busy = service.submit("model:where", {"seconds": _BUSY}, 1, bundle_ref=ref)
    time.sleep(_ON_ITS_WAY)
    trips = [_where(service, ref) for _ in range(number)]
    if busy.done():
        raise SystemExit("the worker wasn't busy for long enough")
    if _worker(busy.result()) != known:
        return []
    return [taken for _, taken in trips]


def _worker(outcome: SimReturn) -> int:
    check([outcome])
    worker: int = pa.ipc.open_stream(outcome.tables["output"]).read_all()["worker"][0].as_py()
    return worker
