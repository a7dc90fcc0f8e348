"""Code written against the published package `modelops_contracts`, beside our own contracts.

The names of both are the same, and so are most meanings. What is translated here, for version 0.3:

| published | ours | what differs |
| --- | --- | --- |
| `UniqueParameterSet` | `UniqueParameterSet` | ours has the trial's number; the id of -0.0 |
| `TrialResult`, `TrialStatus` | the same | ours has the trial's number |
| `AdaptiveAlgorithm` | `AdaptiveAlgorithm` | theirs knows a trial by its `param_id` only |
| `SimTask` | `SimTask` | `entrypoint` is our `fn_ref`; no scenario, `config` or `env` here |

What has no meaning here is refused, not left out. The package itself isn't needed to read what was
made with it, only to make its objects; ModelOps doesn't depend on it.
"""

import importlib
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from modelops.contracts import (
    BundleRef,
    ContractError,
    SimTask,
    TrialResult,
    TrialStatus,
    UniqueParameterSet,
)

_PACKAGE = "modelops_contracts"


class PublishedAlgorithm(Protocol):
    """An algorithm that asks and tells objects of the published package."""

    def ask(self, n: int) -> Sequence[Any]:
        """Return up to `n` of its `UniqueParameterSet`s."""
        ...

    def tell(self, results: list[Any]) -> None:
        """Learn its `TrialResult`s."""
        ...

    def finished(self) -> bool:
        """Return whether there is nothing more to ask."""
        ...


class AdaptedAlgorithm:
    """Makes an algorithm of the published contracts one of ours, without a change to it.

    An entry point of the group `modelops.algorithms` names a function that returns it:

        def create(space, settings):
            return AdaptedAlgorithm(TheirAlgorithm(...))

    Trials are numbered in the order in which they are asked, and results that come at once are told
    in that order, each once. A parameter set that is asked again is another trial, whose result is
    the same: seeds derive from the parameters. What the function must see to is that all chance
    comes from `settings.seed`, and that constraints of the space are kept or refused.
    """

    def __init__(self, algorithm: PublishedAlgorithm) -> None:
        """Make the adapter.

        Raises:
            ContractError: if the published package isn't installed.
        """
        self._algorithm = algorithm
        self._asked: list[tuple[UniqueParameterSet, str]] = []
        self._told: set[int] = set()
        # Now, and not when the first result is there.
        _published("TrialResult")

    def ask(self, n: int) -> list[UniqueParameterSet]:
        """Return up to `n` parameter sets, numbered."""
        asked = []
        for theirs in self._algorithm.ask(n):
            ours = read_parameters(theirs, trial=len(self._asked))
            # Their id is kept: it differs where a parameter is -0.0, or if it was made otherwise.
            self._asked.append((ours, str(theirs.param_id)))
            asked.append(ours)
        return asked

    def tell(self, results: Sequence[TrialResult]) -> None:
        """Learn the results of trials.

        Raises:
            ContractError: if a result's trial was never asked, or its `param_id` is another's.
        """
        new: dict[int, Any] = {}
        for result in results:
            trial = result.trial
            if trial is None or trial >= len(self._asked):
                raise ContractError(f"trial {trial} was never asked")
            asked, their_id = self._asked[trial]
            if result.param_id != asked.param_id:
                raise ContractError(
                    f"trial {trial} has the param_id {asked.param_id}, not {result.param_id}"
                )
            if trial not in self._told and trial not in new:
                new[trial] = _published_result(result, their_id)
        self._told |= new.keys()
        if new:
            self._algorithm.tell([new[trial] for trial in sorted(new)])

    def finished(self) -> bool:
        """Return whether `ask` will never again return anything."""
        return self._algorithm.finished()


def read_parameters(published: Any, trial: int | None = None) -> UniqueParameterSet:
    """Return a parameter set of the published package as one of ours.

    Its `param_id` is computed anew.

    Raises:
        ContractError: if a parameter isn't a finite scalar.
    """
    return UniqueParameterSet.from_dict(published.params, trial)


def read_result(published: Any, trial: int | None = None) -> TrialResult:
    """Return a trial's result of the published package as one of ours.

    Raises:
        ContractError: if its status isn't known here, or it isn't a result by our rules.
    """
    value = getattr(published.status, "value", published.status)
    try:
        status = TrialStatus(value)
    except ValueError as error:
        known = ", ".join(status.value for status in TrialStatus)
        raise ContractError(f"the status {value!r} isn't known; known are: {known}") from error
    loss, diagnostics = published.loss, published.diagnostics
    return TrialResult(published.param_id, loss, diagnostics, status, trial)


def read_task(published: Any, *, repository: str | None = None) -> SimTask:
    """Return a task of the published package as one of ours.

    Args:
        published: the task; its entrypoint is of the form `module:function`.
        repository: where the bundle is, if the task has only its digest.

    Raises:
        ContractError: if a part has no meaning here: an entrypoint with a scenario, `config`,
            `env`, or a digest without a repository.
    """
    entrypoint = str(published.entrypoint)
    if ":" not in entrypoint:
        raise ContractError(
            f"the entrypoint {entrypoint!r} names a scenario, which bundles don't have here; "
            "write a function for it, and name it as module:function"
        )
    for name in ("config", "env"):
        if getattr(published, name, None):
            raise ContractError(
                f"the task has {name!r}, which simulations don't have here: all that changes a "
                "result is a parameter"
            )
    bundle_ref = str(published.bundle_ref)
    if "@" not in bundle_ref:
        if repository is None:
            raise ContractError(f"the bundle {bundle_ref} needs a repository: give `repository`")
        bundle_ref = f"{repository}@{bundle_ref}"
    outputs = tuple(published.outputs or ())
    params = published.params.params
    return SimTask(BundleRef.parse(bundle_ref), entrypoint, params, published.seed, outputs)


def published_parameters(parameters: UniqueParameterSet) -> Any:
    """Return a parameter set of ours as one of the published package; it has no trial there.

    Raises:
        ContractError: if the package isn't installed.
    """
    made = _published("UniqueParameterSet")
    return made(params=dict(parameters.params), param_id=parameters.param_id)


def published_result(result: TrialResult) -> Any:
    """Return a result of ours as one of the published package; it has no trial there.

    Raises:
        ContractError: if the package isn't installed.
    """
    return _published_result(result, result.param_id)


def published_task(task: SimTask) -> Any:
    """Return a task of ours as one of the published package.

    Raises:
        ContractError: if the package isn't installed or refuses the task: its modules must be
            inside a package, and its bundles in no registry of their own.
    """
    made = _published("SimTask")
    parameters = published_parameters(UniqueParameterSet.from_dict(task.params))
    try:
        return made(
            bundle_ref=str(task.bundle_ref),
            entrypoint=task.fn_ref,
            params=parameters,
            seed=task.seed,
            outputs=task.outputs or None,
        )
    except _published("ContractViolationError") as error:
        raise ContractError(f"{_PACKAGE} refuses the task: {error}") from error


def _published_result(result: TrialResult, param_id: str) -> Any:
    return _published("TrialResult")(
        param_id=param_id,
        loss=result.loss,
        diagnostics=_plain(result.diagnostics),
        status=_published("TrialStatus")(result.status.value),
    )


def _plain(value: Any) -> Any:
    """Frozen diagnostics aren't JSON to the standard library."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def _published(name: str) -> Any:
    try:
        return getattr(importlib.import_module(_PACKAGE), name)
    except (ImportError, AttributeError) as error:
        raise ContractError(
            f"{name} of the package modelops-contracts, version 0.3, is needed: {error}"
        ) from error
