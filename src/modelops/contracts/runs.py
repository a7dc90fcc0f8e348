"""The plan of one run: what the runner is started with."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any, Self

from modelops.contracts.bundles import BundleRef
from modelops.contracts.canonical import canonical_json
from modelops.contracts.errors import ContractError
from modelops.contracts.seeds import check_seed
from modelops.contracts.space import SearchSpace


@dataclass(frozen=True)
class Limits:
    """When to give a simulation, a trial or the whole run up.

    Attributes:
        task_timeout: seconds that one simulation may take, or None.
        max_failures: how many failed trials end the run: a share of the trials if below 1, else
            a count.
    """

    task_timeout: float | None = None
    max_failures: float = 0.2

    def __post_init__(self) -> None:
        if self.task_timeout is not None and not self.task_timeout > 0:
            raise ContractError(f"task_timeout is {self.task_timeout}; it must be above 0")
        if not self.max_failures >= 0:
            raise ContractError(f"max_failures is {self.max_failures}; it must be 0 or more")

    def failures_allowed(self, n_trials: int) -> int:
        """Return how many of `n_trials` trials may fail before the run is given up."""
        if self.max_failures < 1:
            return int(self.max_failures * n_trials)
        return int(self.max_failures)


@dataclass(frozen=True)
class RunPlan:
    """Everything that decides a run's results, and nothing else.

    Attributes:
        algorithm: the algorithm's name in the spec.
        type: which algorithm it is (`optuna`, …).
        bundle_ref: the code, pinned by digest.
        model: an id of the bundle's registry, or None for the manifest's entrypoint.
        targets: ids of the bundle's targets; their losses are added.
        space: what may be varied.
        seed, n_trials, n_parallel, replicates: as in the spec.
        options: the algorithm's own settings.
        limits: when to give up.
    """

    algorithm: str
    type: str
    bundle_ref: BundleRef
    space: SearchSpace
    targets: tuple[str, ...]
    model: str | None = None
    seed: int = 1
    n_trials: int = 100
    n_parallel: int = 16
    replicates: int = 1
    options: Mapping[str, Any] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        check_seed(self.seed)
        for name in ("algorithm", "type"):
            if not isinstance(getattr(self, name), str):
                raise ContractError(f"{name} is {getattr(self, name)!r}; it must be text")
        if not (self.model is None or isinstance(self.model, str)):
            raise ContractError(f"model is {self.model!r}; it must be text")
        targets: Any = self.targets
        if not isinstance(targets, tuple) or not all(isinstance(item, str) for item in targets):
            raise ContractError(f"targets are {targets!r}; they must be a tuple of ids")
        for name in ("n_trials", "n_parallel", "replicates"):
            count = getattr(self, name)
            if isinstance(count, bool) or not isinstance(count, int) or count < 1:
                raise ContractError(f"{name} is {count!r}; it must be a whole number from 1")
        object.__setattr__(self, "options", MappingProxyType(dict(self.options)))

    def default_run_id(self) -> str:
        """Return `{algorithm}-{8 hex digits}`, so that the same plan is the same run."""
        identity = {**self.to_json(), "bundle_ref": self.bundle_ref.digest}
        digest = hashlib.sha256(b"modelops:run:v1|" + canonical_json(identity)).hexdigest()
        return f"{self.algorithm}-{digest[:8]}"

    def to_json(self) -> dict[str, Any]:
        """Return the plan as JSON."""
        return {
            "algorithm": self.algorithm,
            "type": self.type,
            "bundle_ref": str(self.bundle_ref),
            "space": self.space.to_json(),
            "targets": list(self.targets),
            "model": self.model,
            "seed": self.seed,
            "n_trials": self.n_trials,
            "n_parallel": self.n_parallel,
            "replicates": self.replicates,
            "options": dict(self.options),
            "limits": {item.name: getattr(self.limits, item.name) for item in fields(Limits)},
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote.

        Raises:
            ContractError: if a part is missing or of another form.
        """
        try:
            parts = dict(value)
            parts["bundle_ref"] = BundleRef.parse(parts["bundle_ref"])
            parts["space"] = SearchSpace.from_json(parts["space"])
            if not isinstance(parts["targets"], str):
                parts["targets"] = tuple(parts["targets"])
            parts["limits"] = Limits(**parts["limits"])
            return cls(**parts)
        except ContractError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ContractError(f"this isn't a run's plan: {error!r}") from error

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self).from_json, (self.to_json(),))
