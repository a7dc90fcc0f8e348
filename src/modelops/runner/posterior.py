"""The posterior that an algorithm left: `runs/{run_id}/posterior.parquet` in the object store.

One row a particle, population by population: `generation`, `trial`, `param.{name}`, `weight` (those
of a population add up to 1), `distance`, and the population's `tolerance` (null if any distance was
accepted), `ess` (the effective sample size) and `acceptance_rate`, the same in all of its rows.
"""

import io

import pyarrow as pa
import pyarrow.parquet as pq

from modelops.contracts import Posterior, SearchSpace
from modelops.result_store.files import put_whole, read_file
from modelops.runner.results import parameter_column


def write_posterior(
    object_store_url: str, run_id: str, space: SearchSpace, posterior: Posterior
) -> str:
    """Write a run's posterior, and return its URL. The file appears whole or not at all."""
    buffer = io.BytesIO()
    pq.write_table(posterior_table(space, posterior), buffer)
    url = posterior_url(object_store_url, run_id)
    put_whole(url, buffer.getvalue())
    return url


def read_posterior(object_store_url: str, run_id: str) -> pa.Table | None:
    """Read what `write_posterior` wrote; None if the run has no posterior.

    Raises:
        ResultStoreError: if the object store can't be read.
    """
    data = read_file(posterior_url(object_store_url, run_id))
    return None if data is None else pq.ParquetFile(io.BytesIO(data)).read()


def posterior_url(object_store_url: str, run_id: str) -> str:
    """Return where a run's posterior is, if it has one."""
    return f"{object_store_url.rstrip('/')}/runs/{run_id}/posterior.parquet"


def posterior_table(space: SearchSpace, posterior: Posterior) -> pa.Table:
    """Return a posterior as a table."""
    rows = [
        (population, particle)
        for population in posterior.populations
        for particle in population.particles
    ]
    columns: dict[str, pa.Array] = {
        "generation": pa.array([population.generation for population, _ in rows], pa.int64()),
        "trial": pa.array([particle.trial for _, particle in rows], pa.int64()),
    }
    for name in space.parameters:
        columns[f"param.{name}"] = parameter_column([particle.params[name] for _, particle in rows])
    for name in ("weight", "distance"):
        numbers = [getattr(particle, name) for _, particle in rows]
        columns[name] = pa.array(numbers, pa.float64())
    for name in ("tolerance", "ess", "acceptance_rate"):
        numbers = [getattr(population, name) for population, _ in rows]
        columns[name] = pa.array(numbers, pa.float64())
    return pa.table(columns)
