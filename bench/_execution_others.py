"""The main figures of the services beside Dask, without bars."""

import importlib.util
import sys
from collections.abc import Callable
from contextlib import closing
from statistics import median

from _execution_case import TASK_TIMEOUT, WORKERS, ExecutionCase, warm
from _execution_load import NAP, SLEEPING, SPIN, SPINNING, busy_share, cpu_rate, loops_of
from _execution_rate import TRIVIAL, trivial_rate
from _figures import RUNS, figure

from modelops.bundles.access import RegistryAccess
from modelops.contracts import SimulationService


def measure_process(case: ExecutionCase) -> list[bool]:
    """The service on this machine's processes."""
    if not _is_there("modelops.services.process"):
        return []

    def make() -> SimulationService:
        from modelops.services.process import ProcessSimulationService  # noqa: PLC0415

        registry = RegistryAccess(case.cluster.store_url)
        return ProcessSimulationService(WORKERS, registry=registry, task_timeout=TASK_TIMEOUT)

    return _measure("process service", make, case)


def measure_ray(case: ExecutionCase) -> list[bool]:
    """The service on Ray, started here."""
    if not _is_there("modelops.services.ray") or not _is_there("ray"):
        return []

    def make() -> SimulationService:
        from modelops.services.ray import RaySimulationService  # noqa: PLC0415

        registry = RegistryAccess(case.cluster.store_url)
        return RaySimulationService(None, WORKERS, registry=registry, task_timeout=TASK_TIMEOUT)

    return _measure("Ray", make, case)


def _measure(name: str, make: Callable[[], SimulationService], case: ExecutionCase) -> list[bool]:
    loops = loops_of(SPIN)
    with closing(make()) as service:
        warm(service, case.ref)
        rates = [
            trivial_rate(service, case.ref, case.count(TRIVIAL), number) for number in range(RUNS)
        ]
        naps = [NAP] * case.count(SLEEPING)
        shares = [busy_share(service, case.ref, naps) for _ in range(RUNS)]
        spinning = [
            cpu_rate(service, case.ref, case.count(SPINNING), loops, number)
            for number in range(RUNS)
        ]
    return [
        figure(f"trivial simulations, {name}", median(rates), "1/s"),
        figure(f"100 ms simulations, share of the ideal, {name}", median(shares), "1"),
        figure(f"CPU-bound simulations, {name}", median(spinning), "1/s"),
    ]


def _is_there(module: str) -> bool:
    is_there = importlib.util.find_spec(module) is not None
    if not is_there:
        sys.stderr.write(f"{module} isn't installed: there are no figures of it\n")
    return is_there
