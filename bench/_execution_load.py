"""Simulations that take time: how much of the workers' time is the models'."""

import json
import random
import runpy
from pathlib import Path
from statistics import mean, median

from _execution_case import WORKERS, ExecutionCase, Inputs, as_calls, check, pool, run, warm
from _execution_model import call, spins
from _figures import RUNS, figure, seconds

from modelops.contracts import BundleRef, SimulationService

SLEEPING, LOG_NORMAL, SPINNING, SIR = 200, 400, 300, 1_000
NAP, SPIN = 0.1, 0.02
SLEEPING_BAR, LOG_NORMAL_BAR, SPINNING_BAR = 0.975, 0.965, 0.92
SIR_FACTOR, SIR_SECONDS = 1.2, 0.1
_SIR = Path(__file__).parent.parent / "examples/sir"
_PROBE_LOOPS = 50_000


def measure_sleeping(case: ExecutionCase) -> list[bool]:
    """Simulations of 100 ms, and of log-normal times, beside half the sum of their times."""
    with case.service() as service:
        warm(service, case.ref)
        equal = [busy_share(service, case.ref, [NAP] * case.count(SLEEPING)) for _ in range(RUNS)]
        unequal = [
            busy_share(service, case.ref, log_normal_times(case.count(LOG_NORMAL), seed))
            for seed in range(RUNS)
        ]
    return [
        figure(
            "100 ms simulations, share of the ideal",
            median(equal),
            "1",
            bar=SLEEPING_BAR,
            at_least=True,
        ),
        figure(
            "log-normal simulations, share of the ideal",
            median(unequal),
            "1",
            bar=LOG_NORMAL_BAR,
            at_least=True,
        ),
    ]


def measure_cpu(case: ExecutionCase) -> list[bool]:
    """Simulations that take CPU, beside a process pool while the cluster is idle."""
    loops = loops_of(SPIN)
    ours, pooled = [], []
    with case.service() as service, pool() as executor:
        warm(service, case.ref)
        for number in range(RUNS):
            ours.append(cpu_rate(service, case.ref, case.count(SPINNING), loops, number))
            calls = as_calls("spins", spin_inputs(case.count(SPINNING), loops, number))
            taken = seconds(lambda: list(executor.map(call, calls, chunksize=1)))  # noqa: B023
            pooled.append(len(calls) / taken)
    return [
        figure(
            "CPU-bound simulations / process pool",
            median(ours),
            "1/s",
            baseline=median(pooled),
            bar=SPINNING_BAR,
            at_least=True,
        )
    ]


def measure_sir(case: ExecutionCase) -> list[bool]:
    """The example's model, beside half the time of a plain loop."""
    ref = case.cluster.push(_SIR)
    simulate = runpy.run_path(str(_SIR / "model.py"))["simulate"]
    name = json.loads((_SIR / "manifest.json").read_text())["entrypoint"].partition(":")[2]
    ours, loop = [], []
    with case.service() as service:
        # Both workers have it; the first call of a process is slower in the loop too.
        check(run(service, ref, name, sir_inputs(200, -1)))
        simulate({"beta": 1.0, "gamma": 0.5}, 1)
        for number in range(RUNS):
            inputs = sir_inputs(case.count(SIR), number)
            outcomes = []
            ours.append(seconds(lambda: outcomes.extend(run(service, ref, name, inputs))))  # noqa: B023
            check(outcomes)
            loop.append(seconds(lambda: [simulate(dict(p), seed) for p, seed in inputs]))  # noqa: B023
    half = median(loop) / WORKERS
    return [
        figure(
            f"{case.count(SIR)} simulations of the example / half a plain loop",
            median(ours),
            "s",
            baseline=half,
            bar=SIR_FACTOR + SIR_SECONDS / half,
        )
    ]


def busy_share(service: SimulationService, ref: BundleRef, times: list[float]) -> float:
    """Return the time that the workers need at least, by what it took."""
    inputs: Inputs = [({"seconds": time}, seed) for seed, time in enumerate(times)]
    outcomes = []
    taken = seconds(lambda: outcomes.extend(run(service, ref, "sleeps", inputs)))
    check(outcomes)
    return sum(times) / WORKERS / taken


def cpu_rate(
    service: SimulationService, ref: BundleRef, number: int, loops: int, salt: int
) -> float:
    """Return how many CPU-bound simulations a second went through, of so many."""
    outcomes = []
    inputs = spin_inputs(number, loops, salt)
    taken = seconds(lambda: outcomes.extend(run(service, ref, "spins", inputs)))
    check(outcomes)
    return number / taken


def log_normal_times(number: int, seed: int) -> list[float]:
    """Return times with sigma 1 whose mean is that of the naps, exactly."""
    chance = random.Random(seed)
    times = [chance.lognormvariate(0, 1) for _ in range(number)]
    scale = NAP / mean(times)
    return [time * scale for time in times]


def loops_of(duration: float) -> int:
    """Return how many loops take so long on this machine."""
    taken = median(seconds(lambda: spins({"loops": _PROBE_LOOPS}, 1)) for _ in range(RUNS))
    return round(_PROBE_LOOPS * duration / taken)


def spin_inputs(number: int, loops: int, salt: int) -> Inputs:
    """Return inputs that take the same CPU each."""
    return [({"loops": loops}, salt * number + index) for index in range(number)]


def sir_inputs(number: int, salt: int) -> Inputs:
    """Return inputs within the example's search space."""
    chance = random.Random(salt)
    return [
        ({"beta": chance.uniform(0.5, 4.0), "gamma": chance.uniform(0.15, 1.0)}, seed)
        for seed in range(number)
    ]
