"""A posterior is read as it was written."""

from pathlib import Path

import pandas
import pytest

from modelops.contracts import (
    CategoricalParameter,
    FloatParameter,
    Particle,
    Population,
    Posterior,
    SearchSpace,
)
from modelops.runner.posterior import posterior_url, read_posterior, write_posterior

SPACE = SearchSpace({"beta": FloatParameter(0.0, 1.0), "s": CategoricalParameter(("a", "b"))})
POSTERIOR = Posterior(
    (
        Population(0, None, 1.0, 1.0, (Particle(0, {"beta": 0.5, "s": "a"}, 1.0, 8.5),)),
        Population(
            1,
            2.0,
            1.6,
            0.5,
            (
                Particle(3, {"beta": 0.1, "s": "b"}, 0.75, 1.5),
                Particle(5, {"beta": 0.2, "s": "a"}, 0.25, 2.0),
            ),
        ),
    )
)


@pytest.mark.parametrize("scheme", ["", "file://", "memory://"])
def test_a_posterior_is_read_as_written(scheme: str, tmp_path: Path) -> None:
    store = f"{scheme}{tmp_path}/store"
    assert read_posterior(store, "run") is None
    written = write_posterior(store, "run", SPACE, POSTERIOR)
    assert written == posterior_url(store, "run") == f"{store}/runs/run/posterior.parquet"
    table = read_posterior(store, "run")
    assert table is not None
    assert table.to_pylist() == [
        {
            "generation": population.generation,
            "trial": particle.trial,
            **{f"param.{name}": value for name, value in particle.params.items()},
            "weight": particle.weight,
            "distance": particle.distance,
            "tolerance": population.tolerance,
            "ess": population.ess,
            "acceptance_rate": population.acceptance_rate,
        }
        for population in POSTERIOR.populations
        for particle in population.particles
    ]


def test_pandas_opens_it(tmp_path: Path) -> None:
    write_posterior(str(tmp_path), "run", SPACE, POSTERIOR)
    frame = pandas.read_parquet(tmp_path / "runs/run/posterior.parquet")
    last = frame[frame["generation"] == 1]
    assert (last["param.beta"] * last["weight"]).sum() == pytest.approx(0.125)


def test_one_without_particles(tmp_path: Path) -> None:
    write_posterior(str(tmp_path), "run", SPACE, Posterior())
    table = read_posterior(str(tmp_path), "run")
    assert table is not None
    assert table.num_rows == 0
