"""The bundle whose functions the contract of services calls."""

from pathlib import Path

_MANIFEST = '{"name": "service-contract", "version": "1.0.0", "entrypoint": "model:simulate"}\n'
_MODEL = '''\
"""What the contract of simulation services calls. Folders are told as parameters."""

import os
import random
import signal
import sys
import threading
import time
import uuid
from pathlib import Path

import numpy as np

GIVE_UP_SECONDS = 120


def simulate(params, seed):
    """A stochastic curve and the seed."""
    chance, infected, curve = random.Random(seed), 1.0, []
    for _ in range(20):
        infected *= 1 + params["beta"] * chance.random()
        curve.append(infected)
    return {"curve": {"day": list(range(20)), "infected": curve}, "seed": {"seed": [str(seed)]}}


def order(params, seed):
    """What depends on how text is hashed."""
    return {"order": list({f"compartment {index}" for index in range(50)})}


def naps(params, seed):
    """Take a while."""
    time.sleep(params["seconds"])
    return {"seed": str(seed)}


def kinds(params, seed):
    """Say what came in."""
    given = {**params, "seed": seed}
    return {
        "name": list(given),
        "kind": [type(value).__name__ for value in given.values()],
        "value": [repr(value) for value in given.values()],
    }


def waits(params, seed):
    """Say that it started, and wait until the gate is opened, unless its seed is below `passes`."""
    folder = Path(params["folder"])
    _mark(folder / "started", seed)
    if seed >= params.get("passes", 0):
        _wait_for(folder / "gate")
    return {"seed": str(seed)}


def talks(params, seed):
    """Write its seed to stdout and stderr by turns."""
    for line in range(params["lines"]):
        print(f"<{seed}> says {line}", file=(sys.stdout, sys.stderr)[line % 2], flush=True)
        time.sleep(0.001)
    if params["raises"]:
        raise ValueError("said enough")
    return {"seed": str(seed)}


def talks_below(params, seed):
    """Write to the descriptors, as a library in C does."""
    os.write(1, f"<{seed}> to 1\\n".encode())
    os.write(2, f"<{seed}> to 2\\n".encode())
    return {"seed": str(seed)}


def floods(params, seed):
    """Write 20 MB."""
    for _ in range(20):
        print("x" * 1_000_000)
    print("the last word")
    return {"seed": str(seed)}


def fills(params, seed):
    """A table of so many bytes."""
    numbers = np.random.default_rng(seed).integers(2**62, size=params["bytes"] // 8)
    return {"numbers": {"number": numbers}}


def counts(params, seed):
    """A table with so many rows, which targets are compared with."""
    rows = np.arange(params["rows"])
    return {"counts": {"row": rows, "count": np.random.default_rng(seed).random(len(rows))}}


def some_counts():
    """The target of a few of them."""
    from modelops.calibration import Target

    data = {"row": [7, 0, 3], "count": [0.5, 0.5, 0.5]}
    return Target(data, on="row", value="count", table="counts")


def counts_elsewhere():
    """A target of a table that no simulation has."""
    from modelops.calibration import Target

    return Target({"row": [1], "count": [0.5]}, on="row", value="count", table="others")


def no_target():
    """Fail to make a target."""
    raise RuntimeError("the data aren't there")


def exits_as_target():
    """A target's code that exits."""
    sys.exit(3)


def ends_as_target():
    """A target's code that ends its process."""
    os._exit(5)


_kept = threading.local()


def reuses(params, seed):
    """Return the same array each time, filled anew, in a table of one kind or another."""
    if not hasattr(_kept, "array"):
        _kept.array = np.empty(params["size"])
    _kept.array[:] = seed
    return {
        "arrays": {"x": _kept.array},
        "repeated": {"x": _kept.array, "one": 1.0},
        "tables": {"a": {"x": _kept.array}, "b": {"x": _kept.array[::2]}},
    }[params["kind"]]


def raises(params, seed):
    raise ValueError("beta must be positive")


def returns_rubbish(params, seed):
    return object()


def exits(params, seed):
    sys.exit(3)


def ends(params, seed):
    """End the process, each time that it is tried."""
    _mark(Path(params["folder"]) / "started", seed)
    os._exit(5)


def kills(params, seed):
    """Kill the process, each time that it is tried."""
    _mark(Path(params["folder"]) / "started", seed)
    os.kill(os.getpid(), signal.SIGKILL)


def ends_once(params, seed):
    """End the process the first time only."""
    started = Path(params["folder"]) / "started"
    is_first = not list(started.glob(f"{seed}-*"))
    _mark(started, seed)
    if is_first:
        os._exit(5)
    return {"seed": str(seed)}


def _mark(folder, seed):
    (folder / f"{seed}-{uuid.uuid4().hex}").touch()


def _wait_for(path):
    until = time.monotonic() + GIVE_UP_SECONDS
    while not path.exists():
        if time.monotonic() > until:
            raise TimeoutError(f"nobody made {path}")
        time.sleep(0.005)
'''


def write_bundle(directory: Path) -> None:
    """Write the bundle that the suite's tests need into a directory, made if it isn't there.

    It needs nothing but Python and NumPy, its targets ModelOps.
    """
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "manifest.json").write_text(_MANIFEST, encoding="utf-8")
    (directory / "model.py").write_text(_MODEL, encoding="utf-8")
