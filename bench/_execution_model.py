"""The model that is measured: the bundle's, the pool's and raw Dask's alike."""

import os
import time
import uuid

import numpy as np
import pyarrow as pa


def trivial(params, seed):
    """Take no time."""
    return {"total": params["p0"] + params["p9"] + seed}


def sleeps(params, seed):
    """Take a given time and no CPU."""
    time.sleep(params["seconds"])
    return {"seed": str(seed)}


def spins(params, seed):
    """Take CPU, all of it in Python."""
    state = seed
    for _ in range(params["loops"]):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
    return {"state": str(state)}


def fresh(params, seed):
    """Give another result each time that it's called."""
    return {"call": uuid.uuid4().hex}


def where(params, seed):
    """Tell which worker it was."""
    time.sleep(params["seconds"])
    return {"worker": os.getppid()}


def table(params, seed):
    """Give a table of so many bytes."""
    numbers = np.random.default_rng(seed).random(params["bytes"] // 8)
    return {"numbers": pa.table({"number": numbers})}


def curve(params, seed):
    """Give a curve of so many bytes, of which little is observed."""
    days = np.arange(params["bytes"] // 16)
    return {"curve": {"day": days, "cases": np.random.default_rng(seed).random(len(days))}}


def cases():
    """What is observed of it."""
    # Raw Dask and the pool need none.
    from modelops.calibration import Target  # noqa: PLC0415

    days = list(range(0, 5_000, 50))
    data = {"day": days, "cases": [0.5] * len(days)}
    return Target(data, on="day", value="cases", table="curve")


def table_as_bytes(params, seed):
    """Give the same as an Arrow stream, as somebody who uses Dask alone would."""
    found = table(params, seed)["numbers"]
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, found.schema) as writer:
        writer.write_table(found)
    return sink.getvalue().to_pybytes()


def call(given):
    """Call a function by its name: what a pool or raw Dask maps."""
    name, params, seed = given
    return globals()[name](params, seed)
