"""What the model is fitted to: three numbers, each with its standard deviation."""

import csv
from pathlib import Path

from modelops.calibration import GaussianNLL, MetricAlignment, Target, target

OBSERVED = Path(__file__).parent / "data" / "observed.csv"


@target("r0")
def basic_reproduction_number():
    """R0, as estimated from the early growth."""
    return scalar("R0")


@target
def peak_day():
    """The day with the most new cases."""
    return scalar("peak_day")


@target
def attack_rate():
    """The share of the population with antibodies afterwards."""
    return scalar("attack_rate")


def scalar(metric):
    """Return the target of one metric: a normal error around the replicates' mean."""
    with OBSERVED.open() as file:
        rows = list(csv.DictReader(file))
    data = {
        "metric": [row["metric"] for row in rows],
        "value": [float(row["value"]) for row in rows],
        "sd": [float(row["sd"]) for row in rows],
    }
    return Target(
        data,
        table="metrics",
        alignment=MetricAlignment(metric=metric),
        loss=GaussianNLL(sigma="sd"),
    )
