"""Large results, and what the client keeps of many small ones."""

import gc
from statistics import median

import psutil
from _execution_case import ExecutionCase, check, run, trivial_inputs, warm
from _execution_model import table_as_bytes
from _figures import RUNS, figure, seconds

TABLE_BYTES = 10 * 10**6
TABLE_BAR = 0.5
MEMORY, BATCH, MEMORY_BAR = 200_000, 20_000, 50.0


def measure_table(case: ExecutionCase) -> list[bool]:
    """A table of 10 MB, beside raw Dask that gives the same table as bytes."""
    ours, raw = [], []
    params = {"bytes": TABLE_BYTES}
    with case.service() as service, case.raw() as client:
        warm(service, case.ref)
        for seed in range(RUNS + 1):
            outcomes = []
            taken = seconds(
                lambda: outcomes.extend(run(service, case.ref, "table", [(params, seed)]))  # noqa: B023
            )
            ours.append(TABLE_BYTES / 1e6 / taken)
            check(outcomes)
            taken = seconds(
                lambda: client.submit(table_as_bytes, params, seed, pure=False).result()  # noqa: B023
            )
            raw.append(TABLE_BYTES / 1e6 / taken)
    # The first of each pays for imports.
    return [
        figure(
            "10 MB table / raw Dask",
            median(ours[1:]),
            "MB/s",
            baseline=median(raw[1:]),
            bar=TABLE_BAR,
            at_least=True,
        )
    ]


def measure_memory(case: ExecutionCase) -> list[bool]:
    """How this process grows while results are gathered and dropped, after a first batch."""
    process = psutil.Process()
    batch = case.count(BATCH)
    with case.service() as service:
        warm(service, case.ref)
        check(run(service, case.ref, "trivial", trivial_inputs(batch, -3)))
        gc.collect()
        before = process.memory_info().rss
        for number in range(MEMORY // BATCH):
            check(run(service, case.ref, "trivial", trivial_inputs(batch, 1_000 + number)))
        gc.collect()
        grown = (process.memory_info().rss - before) / 1e6
    name = f"memory grown over {batch * (MEMORY // BATCH)} simulations"
    return [figure(name, grown, "MB", bar=MEMORY_BAR)]
