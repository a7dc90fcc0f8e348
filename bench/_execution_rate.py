"""How many simulations that take no time go through a second, with and without stored results."""

from collections.abc import Sequence
from statistics import median

from _execution_case import (
    ExecutionCase,
    as_calls,
    check,
    pool,
    run,
    trivial_inputs,
    warm,
)
from _execution_model import call
from _figures import RUNS, figure, seconds

from modelops.contracts import BundleRef, SimulationService

TRIVIAL, RAW, STORED = 20_000, 2_000, 1_000
RATE_BAR, RAW_BAR, POOL_BAR, STORE_BAR, STORED_BAR = 20_000.0, 30.0, 1.5, 10_000.0, 0.5


def measure_trivial(case: ExecutionCase) -> list[bool]:
    """The rate, beside raw `client.map` and a process pool with the same function."""
    ours, raw, pooled = [], [], []
    with case.service() as service, case.raw() as client, pool() as executor:
        warm(service, case.ref)
        client.gather(client.map(call, as_calls("trivial", trivial_inputs(100, -1)), pure=False))
        for number in range(RUNS):
            # In turns, so that a noisy moment hits all of them.
            ours.append(trivial_rate(service, case.ref, case.count(TRIVIAL), number))
            few = as_calls("trivial", trivial_inputs(case.count(RAW), number))
            taken = seconds(lambda: client.gather(client.map(call, few, pure=False)))  # noqa: B023
            raw.append(len(few) / taken)
            many = as_calls("trivial", trivial_inputs(case.count(TRIVIAL), number))
            taken = seconds(lambda: list(executor.map(call, many, chunksize=1)))  # noqa: B023
            pooled.append(len(many) / taken)
    rate = median(ours)
    return [
        figure("trivial simulations", rate, "1/s", bar=RATE_BAR, at_least=True),
        figure(
            "trivial simulations / raw client.map",
            rate,
            "1/s",
            baseline=median(raw),
            bar=RAW_BAR,
            at_least=True,
        ),
        figure(
            "trivial simulations / process pool, chunksize 1",
            rate,
            "1/s",
            baseline=median(pooled),
            bar=POOL_BAR,
            at_least=True,
        ),
    ]


def measure_stored(case: ExecutionCase) -> list[bool]:
    """The rate while results are stored, and how soon stored ones come back to a new service."""
    url = f"file://{case.folder / 'results'}"
    inputs = trivial_inputs(case.count(STORED), -2)
    with case.service(object_store_url=url) as service:
        warm(service, case.ref)
        rates = [
            trivial_rate(service, case.ref, case.count(TRIVIAL), 100 + number)
            for number in range(RUNS)
        ]
        first = run(service, case.ref, "fresh", inputs)
    check(first)
    again = []
    for _ in range(RUNS):
        with case.service(object_store_url=url) as service:
            found: Sequence[object] = ()

            def fetch() -> None:
                nonlocal found
                found = run(service, case.ref, "fresh", inputs)

            again.append(seconds(fetch))
        if [outcome.tables for outcome in found] != [outcome.tables for outcome in first]:
            raise SystemExit("stored results were computed anew")
    return [
        figure("trivial simulations, stored", median(rates), "1/s", bar=STORE_BAR, at_least=True),
        figure(f"{len(inputs)} stored results, new service", median(again), "s", bar=STORED_BAR),
    ]


def trivial_rate(service: SimulationService, ref: BundleRef, number: int, salt: int) -> float:
    """Return how many simulations a second went through, of so many."""
    inputs = trivial_inputs(number, salt)
    outcomes = []
    taken = seconds(lambda: outcomes.extend(run(service, ref, "trivial", inputs)))
    check(outcomes)
    if len({outcome.task_id for outcome in outcomes}) != number:
        raise SystemExit("some simulations have the identity of others")
    return number / taken
