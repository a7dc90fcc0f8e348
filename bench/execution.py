"""Simulations through the services: rates, shares of the ideal, latencies, memory.

Two Dask workers with one thread each, started with the product's own commands, speaking TLS; the
service has a time limit and a group. Medians of five, baselines in turns with what is measured.

    python bench/execution.py                       all
    python bench/execution.py trivial cpu           these measurements alone
    python bench/execution.py --scale 0.05 trivial  with a part of the simulations

Bars: 20,000 simulations that take no time 20,000/s, 30 times raw `client.map` and 1.5 times a
process pool; 10,000/s with stored results, 1,000 of which come back in 0.5 s; of the ideal 97.5%
with 100 ms and 96.5% with log-normal times; 0.92 times a process pool with CPU-bound ones; a new
bundle's first result in 0.2 s; a round trip 8 ms (p50) and 12 ms (p95), which the other worker's
first result and further ones keep too; a new cluster no slower with a warm cache than with a cold
one; the example 1.2 times half a plain loop and 0.1 s; a 10 MB table half as fast as raw Dask; of
trials with five times 10 MB a hundredth of the bytes reach the runner, and they take no longer than
with whole tables; the client grows by less than 50 MB over 200,000 simulations. The other services'
figures have no bars.
"""

import sys
from collections.abc import Callable, Mapping

import _execution_latency
import _execution_load
import _execution_others
import _execution_outputs
import _execution_rate
import _execution_size
from _execution_case import ExecutionCase, execution_case
from _figures import carry_out

MEASUREMENTS: Mapping[str, Callable[[ExecutionCase], list[bool]]] = {
    "trivial": _execution_rate.measure_trivial,
    "stored": _execution_rate.measure_stored,
    "sleeping": _execution_load.measure_sleeping,
    "cpu": _execution_load.measure_cpu,
    "sir": _execution_load.measure_sir,
    "cold": _execution_latency.measure_cold,
    "restart": _execution_latency.measure_restart,
    "table": _execution_size.measure_table,
    "outputs": _execution_outputs.measure_outputs,
    "memory": _execution_size.measure_memory,
    "process": _execution_others.measure_process,
    "ray": _execution_others.measure_ray,
}


if __name__ == "__main__":
    sys.exit(carry_out("Measures simulations through the services.", MEASUREMENTS, execution_case))
