"""Figures of values that are easily mistaken for others."""

from datetime import timedelta

import pyarrow as pa

from modelops.analysis.fits import Fit
from modelops.contracts import (
    CategoricalParameter,
    Particle,
    Population,
    Posterior,
    SearchSpace,
)
from modelops.report.fit_figures import fit_panels
from modelops.report.posterior_figures import posterior_panels
from modelops.runner.posterior import posterior_table
from modelops.worker.target_points import KEY, OBSERVED, REPLICATE


def test_points_at_durations_that_begin_at_nothing_are_drawn_in_order() -> None:
    times = [timedelta(hours=2), timedelta(0), timedelta(hours=1)]
    points = pa.table({f"{KEY}t": times, OBSERVED: [3.0, 1.0, 2.0], f"{REPLICATE}0": [3.0, 1, 2]})
    (figure,) = fit_panels({0: Fit({"cases": points})}).figures
    observed = next(trace for trace in figure.data if list(trace["y"]) == [1.0, 2.0, 3.0])
    assert observed["y"] == [1.0, 2.0, 3.0]


def test_choices_that_read_alike_keep_their_own_weights() -> None:
    space = SearchSpace({"s": CategoricalParameter(("1", 1))})
    particles = tuple(
        Particle(trial, {"s": value}, weight=weight, distance=0.5)
        for trial, (value, weight) in enumerate([("1", 0.25), (1, 0.5), (1, 0.25)])
    )
    population = Population(0, tolerance=None, ess=2.0, acceptance_rate=1.0, particles=particles)
    table = posterior_table(space, Posterior((population,)))
    (figure,) = posterior_panels(table, space).figures
    assert figure.data[0]["y"] == [0.25, 0.75]
