"""How the benches time, and print what they found."""

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import TypeVar

RUNS = 5

Case = TypeVar("Case")


def carry_out(
    description: str,
    measurements: Mapping[str, Callable[[Case], list[bool]]],
    open_case: Callable[[float], AbstractContextManager[Case]],
) -> int:
    """Be the program of a bench: print the figures of the measurements named; 1 if a bar falls.

    Args:
        description: of the program.
        measurements: by name; each prints its figures and returns which hold.
        open_case: gives what they need, for a part of the work; 1 for figures that count.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(measurements))
    parser.add_argument("--scale", type=float, default=1.0, help="part of the work")
    options = parser.parse_args()
    unknown = set(options.names) - measurements.keys()
    if unknown:
        parser.error(f"{min(unknown)!r} is none of {', '.join(measurements)}")
    with open_case(options.scale) as case:
        holds = [
            held for name in options.names or measurements for held in measurements[name](case)
        ]
    return 0 if all(holds) else 1


def seconds(work: Callable[[], object]) -> float:
    """Return how long `work` takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def figure(
    name: str,
    value: float,
    unit: str,
    *,
    baseline: float | None = None,
    bar: float | None = None,
    at_least: bool = False,
) -> bool:
    """Print one figure and return whether it holds; a bar is the ratio's if there is a baseline.

    A bar is the most that it may be, or with `at_least` the least.
    """
    ratio = None if baseline is None else value / baseline
    compared = value if ratio is None else ratio
    holds = bar is None or (compared >= bar if at_least else compared <= bar)
    line = {
        "name": name,
        "value": round(value, 4),
        "unit": unit,
        "baseline": None if baseline is None else round(baseline, 4),
        "ratio": None if ratio is None else round(ratio, 3),
        "bar": None if bar is None else round(bar, 4),
        "at_least": at_least,
        "holds": holds,
    }
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()
    return holds
