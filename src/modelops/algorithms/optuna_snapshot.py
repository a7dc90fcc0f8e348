"""What an Optuna study and its sampler remember, as JSON and back.

Two lines of JSON: what the state belongs to (the format, versions of libraries, a hash of space and
settings, the SHA-256 of the second line), and the state. Trials are columns over all of the study's
trials. Arrays are base64 of their little-endian bytes. Nothing in it is run: what CmaEsSampler
keeps as a pickle is written as plain values, and such a pickle is refused.
"""

import base64
import hashlib
import importlib.metadata
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Any, Self

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from modelops.algorithms.optuna_cmaes import (
    OPTIMIZER_MARK,
    needed_optimizers,
    optimizer_attributes,
)
from modelops.algorithms.optuna_space import parameters_of
from modelops.contracts import (
    AlgorithmSettings,
    SearchSpace,
    SnapshotError,
    UniqueParameterSet,
    canonical_json,
)

_FORMAT = "modelops:optuna-snapshot:v1"
# What concerns a trial only until it has ended.
_WHILE_RUNNING = ("tpe:relative_params", "fixed_params")
_STATES = {"C": TrialState.COMPLETE, "F": TrialState.FAIL, "P": TrialState.PRUNED}
_STATES["R"] = TrialState.RUNNING
_LETTERS = {state: letter for letter, state in _STATES.items()}
# Nothing asks when a trial of a study in memory began or ended.
_ANY_TIME = datetime(1970, 1, 1)  # noqa: DTZ001 - Optuna's are naive


@dataclass(frozen=True)
class StudyState:
    """A study's trials and attributes, and its sampler's random states.

    Attributes:
        states: of each trial.
        values: the loss of each trial that is complete, else None.
        params: what was suggested, by name, for each trial.
        numbers: which of the study's trials are ours, in our order; the others were refused.
        trial_attributes: system attributes of trials, by key and the trial's number.
        optimizers: what CMA-ES has learnt, by the number of the trial that keeps it.
        study_attributes: system attributes of the study.
        random_states: of the sampler, in the order of its kind's `random_states`.
    """

    states: tuple[TrialState, ...]
    values: tuple[float | None, ...]
    params: Mapping[str, Sequence[Any]]
    numbers: tuple[int, ...]
    trial_attributes: Mapping[str, Mapping[int, Any]]
    optimizers: Mapping[int, Any]
    study_attributes: Mapping[str, Any]
    random_states: tuple[Mapping[str, Any], ...]

    @classmethod
    def of(cls, study: optuna.Study, numbers: Sequence[int], random_states: Sequence[str]) -> Self:
        """Return the state of a study whose sampler has its random states under those names.

        Raises:
            SnapshotError: if the sampler or its optimizer isn't of the form that is known here.
        """
        trials = study.get_trials(deepcopy=False)
        attributes: dict[str, dict[int, Any]] = {}
        for trial in trials:
            for key, value in trial.system_attrs.items():
                over = trial.state.is_finished() and key.startswith(_WHILE_RUNNING)
                if not over and OPTIMIZER_MARK not in key:
                    attributes.setdefault(key, {})[trial.number] = value
        try:
            states = [attrgetter(name)(study.sampler).rng for name in random_states]
        except AttributeError as error:
            raise SnapshotError(f"Optuna's sampler isn't as it is known here: {error}") from error
        return cls(
            states=tuple(trial.state for trial in trials),
            values=tuple(trial.value for trial in trials),
            params={
                name: [trial.params[name] for trial in trials]
                for name in (trials[0].params if trials else ())
            },
            numbers=tuple(numbers),
            trial_attributes=attributes,
            optimizers=needed_optimizers(trials),
            study_attributes=study._storage.get_study_system_attrs(study._study_id),  # noqa: SLF001
            random_states=tuple(_random_state(state) for state in states),
        )

    def asked(self, space: SearchSpace) -> list[UniqueParameterSet]:
        """Return the trials that were asked, in their order.

        Raises:
            SnapshotError: if the state isn't one of that space.
        """
        try:
            return [
                UniqueParameterSet.from_dict(
                    parameters_of(space, self._suggested(number)), trial=trial
                )
                for trial, number in enumerate(self.numbers)
            ]
        except (IndexError, TypeError, ValueError) as error:
            raise SnapshotError(f"the snapshot doesn't fit the space: {error!r}") from error

    def told(self) -> list[int]:
        """Return the numbers, in our order, of the trials that were told."""
        return [
            trial
            for trial, number in enumerate(self.numbers)
            if self.states[number] is not TrialState.RUNNING
        ]

    def count(self, state: TrialState) -> int:
        """Return how many of the study's trials are in that state."""
        return self.states.count(state)

    def put_into(
        self,
        study: optuna.Study,
        distributions: Mapping[str, BaseDistribution],
        random_states: Sequence[str],
    ) -> None:
        """Make a study that has no trials one of this state.

        Raises:
            SnapshotError: if the state isn't one of such a study. Nothing has changed then.
        """
        try:
            trials = [self._trial(number, distributions) for number in range(len(self.states))]
            generators = [attrgetter(name)(study.sampler).rng for name in random_states]
            before = [generator.get_state(legacy=False) for generator in generators]
            try:
                for generator, state in zip(generators, self.random_states, strict=True):
                    generator.set_state(_generator_state(state))
            except (KeyError, TypeError, ValueError):
                for generator, state in zip(generators, before, strict=True):
                    generator.set_state(state)
                raise
        except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
            raise SnapshotError(f"the snapshot doesn't fit the study: {error!r}") from error
        storage, study_id = study._storage, study._study_id  # noqa: SLF001
        for trial in trials:
            storage.create_new_trial(study_id, template_trial=trial)
        for key, value in self.study_attributes.items():
            storage.set_study_system_attr(study_id, key, value)

    def _suggested(self, number: int) -> dict[str, Any]:
        return {name: column[number] for name, column in self.params.items()}

    def _trial(self, number: int, distributions: Mapping[str, BaseDistribution]) -> FrozenTrial:
        state = self.states[number]
        attributes = {
            key: values[number] for key, values in self.trial_attributes.items() if number in values
        }
        if number in self.optimizers:
            attributes |= optimizer_attributes(self.optimizers[number])
        trial = FrozenTrial(
            number=number,
            trial_id=number,
            state=state,
            value=self.values[number],
            params={name: self.params[name][number] for name in distributions},
            distributions=dict(distributions),
            user_attrs={},
            system_attrs=attributes,
            intermediate_values={},
            datetime_start=_ANY_TIME,
            datetime_complete=_ANY_TIME if state.is_finished() else None,
        )
        trial._validate()  # noqa: SLF001 - that of Study.add_trial, before anything has changed
        return trial


def write_snapshot(
    state: StudyState, space: SearchSpace, settings: AlgorithmSettings, packages: Sequence[str]
) -> bytes:
    """Return the state as JSON, with what it belongs to; `packages` are those that count.

    Raises:
        SnapshotError: if it holds what JSON can't.
    """
    content = {
        "states": "".join(_LETTERS[item] for item in state.states),
        "values": state.values,
        "params": state.params,
        "numbers": state.numbers,
        "trial_attributes": {
            key: [list(values), list(values.values())]
            for key, values in state.trial_attributes.items()
        },
        "optimizers": [list(state.optimizers), list(state.optimizers.values())],
        "study_attributes": state.study_attributes,
        "random_states": state.random_states,
    }
    try:
        body = json.dumps(content, separators=(",", ":"), allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise SnapshotError(f"the study holds what JSON can't: {error}") from error
    return canonical_json(_header(space, settings, packages, body)) + b"\n" + body


def read_snapshot(
    snapshot: bytes, space: SearchSpace, settings: AlgorithmSettings, packages: Sequence[str]
) -> StudyState:
    """Return the state that `write_snapshot` wrote.

    Raises:
        SnapshotError: if it's damaged, or of other versions, another space or other settings.
    """
    first, _, body = snapshot.partition(b"\n")
    try:
        header = json.loads(first)
    except ValueError as error:
        raise SnapshotError("the snapshot isn't JSON") from error
    expected = _header(space, settings, packages, body)
    if not isinstance(header, dict) or header.get("format") != _FORMAT:
        raise SnapshotError(f"the snapshot isn't of the format {_FORMAT}")
    if header.get("versions") != expected["versions"]:
        raise SnapshotError(
            f"the snapshot was made with {header.get('versions')}; "
            f"installed are {expected['versions']}"
        )
    if header.get("settings") != expected["settings"]:
        raise SnapshotError("the snapshot is of another search space or of other settings")
    if header != expected:
        raise SnapshotError("the snapshot is damaged: its hash is another")
    try:
        return _state(json.loads(body))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise SnapshotError(f"the snapshot isn't one of a study: {error!r}") from error


def _state(content: Mapping[str, Any]) -> StudyState:
    attributes = {
        key: dict(zip(*columns, strict=True))
        for key, columns in content["trial_attributes"].items()
    }
    if any(OPTIMIZER_MARK in key for key in attributes):
        raise ValueError("it holds a pickle")
    states = tuple(_STATES[letter] for letter in content["states"])
    columns = [content["values"], *content["params"].values()]
    if any(len(column) != len(states) for column in columns):
        raise ValueError("its columns have different lengths")
    return StudyState(
        states=states,
        values=tuple(content["values"]),
        params=content["params"],
        numbers=tuple(content["numbers"]),
        trial_attributes=attributes,
        optimizers=dict(zip(*content["optimizers"], strict=True)),
        study_attributes=content["study_attributes"],
        random_states=tuple(content["random_states"]),
    )


def _header(
    space: SearchSpace, settings: AlgorithmSettings, packages: Sequence[str], body: bytes
) -> dict[str, Any]:
    identity = canonical_json(
        {
            "space": space.to_json(),
            "seed": settings.seed,
            "n_trials": settings.n_trials,
            "n_parallel": settings.n_parallel,
            "options": dict(settings.options),
        }
    )
    return {
        "format": _FORMAT,
        "versions": {
            name: importlib.metadata.version(name) for name in ("numpy", "optuna", *packages)
        },
        "settings": hashlib.sha256(identity).hexdigest(),
        "sha256": hashlib.sha256(body).hexdigest(),
    }


def _random_state(generator: np.random.RandomState) -> dict[str, Any]:
    state: Any = generator.get_state(legacy=False)
    return {
        "kind": state["bit_generator"],
        "key": base64.b64encode(state["state"]["key"].astype("<u4").tobytes()).decode(),
        "pos": int(state["state"]["pos"]),
        "has_gauss": int(state["has_gauss"]),
        "gauss": float(state["gauss"]),
    }


def _generator_state(state: Mapping[str, Any]) -> dict[str, Any]:
    if not math.isfinite(state["gauss"]):
        raise ValueError("a random state isn't finite")
    key = np.frombuffer(base64.b64decode(state["key"], validate=True), dtype="<u4")
    return {
        "bit_generator": state["kind"],
        "state": {"key": key.astype(np.uint32), "pos": state["pos"]},
        "has_gauss": state["has_gauss"],
        "gauss": state["gauss"],
    }
