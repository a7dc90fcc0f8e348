"""Trials with large outputs: aligned where they were made, beside their whole tables."""

from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median

from _execution_case import ExecutionCase, check, run, warm
from _figures import RUNS, figure, seconds

from modelops.services.chunked import ChunkedService
from modelops.worker.bundle_evaluator import BundleEvaluator

CURVE_BYTES = 10 * 10**6
REPLICATES, TRIALS = 5, 4
TARGETS = {"cases": "model:cases"}
BYTES_BAR, TIME_BAR = 0.01, 1.0


def measure_outputs(case: ExecutionCase) -> list[bool]:
    """Trials of five replicates with tables of 10 MB, from submitting to the losses."""
    aligned: list[float] = []
    whole: list[float] = []
    sizes = {}
    losses = {}
    with (
        BundleEvaluator(case.folder / "bundle", TARGETS) as evaluator,
        case.service() as service,
    ):
        warm(service, case.ref)
        for turn in range(RUNS + 1):
            for targets, times in ((TARGETS, aligned), ({}, whole)):
                service.align_outputs(targets)
                with _counted(service) as received:
                    found: list[float] = []
                    times.append(seconds(lambda: found.extend(_losses(case, service, evaluator))))  # noqa: B023
                sizes[bool(targets)] = sum(received) / TRIALS
                losses[turn, bool(targets)] = found
    if any(losses[turn, True] != losses[turn, False] for turn in range(RUNS + 1)):
        raise SystemExit(f"the losses differ: {losses}")
    # The first of each pays for imports, and for matching the points with the rows.
    return [
        figure(
            "bytes to the runner of a trial of 5 times 10 MB / whole tables",
            sizes[True],
            "B",
            baseline=sizes[False],
            bar=BYTES_BAR,
        ),
        figure(
            f"{TRIALS} such trials, to their losses / whole tables",
            median(aligned[1:]),
            "s",
            baseline=median(whole[1:]),
            bar=TIME_BAR,
        ),
    ]


def _losses(
    case: ExecutionCase, service: ChunkedService, evaluator: BundleEvaluator
) -> list[float]:
    inputs = [({"bytes": CURVE_BYTES}, seed) for seed in range(REPLICATES * TRIALS)]
    outcomes = run(service, case.ref, "curve", inputs)
    check(outcomes)
    found = []
    for first in range(0, len(outcomes), REPLICATES):
        trial = [outcome.outputs for outcome in outcomes[first : first + REPLICATES]]
        (evaluation,) = evaluator.evaluate([trial])
        if evaluation.failure is not None:
            raise SystemExit(f"an evaluation failed: {evaluation.failure}")
        found.append(evaluation.loss)
    return found


@contextmanager
def _counted(service: ChunkedService) -> Iterator[list[int]]:
    """Give the sizes of what workers answer meanwhile."""
    transport = service._dispatcher._transport  # noqa: SLF001 - what comes in is seen nowhere else
    answer, sizes = transport.run, []

    async def counting(data: bytes) -> bytes:
        reply = await answer(data)
        sizes.append(len(reply))
        return reply

    transport.run = counting  # type: ignore[method-assign]
    try:
        yield sizes
    finally:
        transport.run = answer  # type: ignore[method-assign]
