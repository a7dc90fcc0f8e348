"""What CmaEsSampler has learnt, as plain values; and when it can learn no more from what is asked.

It pickles its optimizer into attributes of a trial whenever a generation is full, and reads it from
the last completed trial that has one. In a snapshot there is no pickle: what is unpickled here was
pickled in this process.
"""

import base64
import math
import pickle
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from optuna.trial import FrozenTrial, TrialState

from modelops.contracts import SnapshotError

OPTIMIZER_MARK = ":optimizer"
"""What the keys of all attributes contain that hold a pickle."""

_KEY = "cma:optimizer"
_GENERATION = "cma:generation"
_DTYPE = "<f8"


def default_popsize(dimensions: int) -> int:
    """Return how many trials make a generation if `popsize` doesn't say (Hansen 2016, table 1)."""
    return 4 + math.floor(3 * math.log(dimensions)) if dimensions else 1


def awaits_results(trials: Sequence[FrozenTrial], startup: int, popsize: int) -> bool:
    """Return whether enough trials are under way for the sampler's next step.

    It throws away what comes after the `startup` trials, and after the first `popsize` of a
    generation. One trial at a time never waits.
    """
    states = [trial.state for trial in trials]
    if states.count(TrialState.COMPLETE) < startup:
        return states.count(TrialState.COMPLETE) + states.count(TrialState.RUNNING) >= startup
    generations: list[int] = [trial.system_attrs.get(_GENERATION, -1) for trial in trials]
    newest: int = max(generations, default=-1)
    if newest < 0:
        return False
    states = [
        trial.state
        for trial, generation in zip(trials, generations, strict=True)
        if generation == newest
    ]
    ended, under_way = states.count(TrialState.COMPLETE), states.count(TrialState.RUNNING)
    return ended < popsize <= ended + under_way


def needed_optimizers(trials: Sequence[FrozenTrial]) -> dict[int, Any]:
    """Return, by the number of the trial that has it, each optimizer that may be read yet.

    Those are that of the last completed trial, and those of later trials that may complete.

    Raises:
        SnapshotError: if one isn't of the form that is known here.
    """
    found: dict[int, Any] = {}
    for trial in reversed(trials):
        pieces = [value for key, value in trial.system_attrs.items() if OPTIMIZER_MARK in key]
        if not pieces or trial.state not in (TrialState.COMPLETE, TrialState.RUNNING):
            continue
        found[trial.number] = _plain("".join(_pieces_in_order(trial.system_attrs)))
        if trial.state is TrialState.COMPLETE:
            break
    return dict(sorted(found.items()))


def optimizer_attributes(state: Mapping[str, Any]) -> dict[str, str]:
    """Return the attributes by which CmaEsSampler finds an optimizer of that state.

    Raises:
        ValueError: if it isn't such a state.
    """
    import cmaes  # noqa: PLC0415 - of the sampler's extra

    optimizer = cmaes.CMA.__new__(cmaes.CMA)
    values = {name: _decoded(value) for name, value in state.items()}
    if values.keys() != cmaes.CMA(np.zeros(2), 1.0).__getstate__().keys():
        raise ValueError("an optimizer has other attributes")
    optimizer.__setstate__(values)
    return {f"{_KEY}:0": pickle.dumps(optimizer).hex()}


def _pieces_in_order(attributes: Mapping[str, Any]) -> list[str]:
    pieces = [key for key in attributes if OPTIMIZER_MARK in key]
    keys = [f"{_KEY}:{index}" for index in range(len(pieces))]
    if set(pieces) != set(keys):
        raise SnapshotError("Optuna keeps its optimizer in another way than is known here")
    return [attributes[key] for key in keys]


def _plain(pickled: str) -> dict[str, Any]:
    import cmaes  # noqa: PLC0415

    optimizer = pickle.loads(bytes.fromhex(pickled))  # noqa: S301 - of this process
    if type(optimizer) is not cmaes.CMA:
        raise SnapshotError(f"Optuna's optimizer is a {type(optimizer).__name__}")
    return {name: _encoded(value) for name, value in optimizer.__getstate__().items()}


def _encoded(value: Any) -> Any:
    if isinstance(value, np.ndarray) and value.dtype == np.float64:
        data = base64.b64encode(value.astype(_DTYPE).tobytes()).decode()
        return {"shape": list(value.shape), "data": data}
    if isinstance(value, (bool, int, type(None))):
        return value
    if isinstance(value, (float, np.floating)):
        return float(value)
    raise SnapshotError(f"Optuna's optimizer holds a {type(value).__name__}")


def _decoded(value: Any) -> Any:
    if isinstance(value, Mapping):
        data = base64.b64decode(value["data"], validate=True)
        return np.frombuffer(data, dtype=_DTYPE).astype(np.float64).reshape(value["shape"])
    return value
