"""The plan of one run: what the runner is started with."""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Self

from modelops.contracts.bundles import BundleRef
from modelops.contracts.canonical import canonical_json
from modelops.contracts.errors import ContractError
from modelops.contracts.execution import Execution
from modelops.contracts.public_key import PublicKey
from modelops.contracts.seeds import check_seed
from modelops.contracts.space import SearchSpace


@dataclass(frozen=True)
class Limits:
    """When to give a simulation, a trial or the whole run up.

    Attributes:
        task_timeout: seconds that one simulation may take, or None.
        task_memory: bytes that the process of a simulation may have in memory, or None.
        max_failures: how many failed trials end the run: a share of the trials if below 1, else
            a count.
        run_timeout: seconds that the run may take since it was last started or resumed, or None.
        max_cost: US dollars that the run's simulations may cost, or None.
        slot_price: US dollars that a simulation costs in an hour; None where nobody knows.
        target_loss: a loss that is good enough to stop, or None.
        patience: after how many trials without a better loss to stop, or None.
    """

    task_timeout: float | None = None
    task_memory: int | None = None
    max_failures: float = 0.2
    run_timeout: float | None = None
    max_cost: float | None = None
    slot_price: float | None = None
    target_loss: float | None = None
    patience: int | None = None

    def __post_init__(self) -> None:
        for name in ("task_timeout", "task_memory", "run_timeout", "max_cost", "patience"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ContractError(f"{name} is {value}; it must be above 0")
        for name in ("max_failures", "slot_price"):
            value = getattr(self, name)
            if value is not None and not value >= 0:
                raise ContractError(f"{name} is {value}; it must be 0 or more")
        if self.target_loss is not None and not math.isfinite(self.target_loss):
            raise ContractError(f"target_loss is {self.target_loss}; it must be finite")
        if self.max_cost is not None and self.slot_price is None:
            raise ContractError("max_cost needs the price of a slot, which nobody said")

    def failures_allowed(self, n_trials: int) -> int:
        """Return how many of `n_trials` trials may fail before the run is given up."""
        if self.max_failures < 1:
            return int(self.max_failures * n_trials)
        return int(self.max_failures)

    def to_json(self) -> dict[str, Any]:
        """Return the limits as JSON; those that came later are left out where there is none."""
        known = {item.name: getattr(self, item.name) for item in fields(self)}
        return {name: value for name, value in known.items() if _is_old(name) or value is not None}


def _is_old(name: str) -> bool:
    # A run's name is a hash of its plan, which has had these from the beginning.
    return name in ("task_timeout", "task_memory", "max_failures")


class TrialOrder(StrEnum):
    """In which order the algorithm is told of trials.

    ASK is that in which they were asked for, so that the run doesn't depend on how long simulations
    take; COMPLETION is that in which they end, so that the algorithm knows as much as there is.
    """

    ASK = "ask"
    COMPLETION = "completion"


@dataclass(frozen=True)
class RunPlan:
    """Everything that decides a run's results, and who must have signed its code.

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
        execution: how simulations are run.
        order: in which order the algorithm is told of trials.
        public_key: the key that the bundle must be signed with, or None. Whoever runs code of the
            bundle checks it first.
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
    execution: Execution = field(default_factory=Execution)
    order: TrialOrder = TrialOrder.ASK
    public_key: PublicKey | None = None

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
        key: Any = self.public_key
        if not (key is None or isinstance(key, PublicKey)):
            raise ContractError(f"public_key is {key!r}; it must be a PublicKey")
        for name in ("n_trials", "n_parallel", "replicates"):
            count = getattr(self, name)
            if isinstance(count, bool) or not isinstance(count, int) or count < 1:
                raise ContractError(f"{name} is {count!r}; it must be a whole number from 1")
        object.__setattr__(self, "options", MappingProxyType(dict(self.options)))

    def default_run_id(self) -> str:
        """Return `{algorithm}-{8 hex digits}`, so that the same plan is the same run."""
        identity = canonical_json(self.identity())
        digest = hashlib.sha256(b"modelops:run:v1|" + identity).hexdigest()
        return f"{self.algorithm}-{digest[:8]}"

    def identity(self) -> dict[str, Any]:
        """Return, as JSON, what two plans of the same run have in common: all that decides results.

        From where the code is fetched, and who must have signed it, may change.
        """
        identity = {**self.to_json(), "bundle_ref": self.bundle_ref.digest}
        identity.pop("public_key", None)
        # How simulations are run may change meanwhile, but with which packages decides results.
        identity["execution"] = {"environment": self.execution.environment.value}
        return identity

    def to_json(self) -> dict[str, Any]:
        """Return the plan as JSON; the key, if there is one, as PEM."""
        # Left out where a plan is as it was before there was a choice: its hash is the run's name.
        more: dict[str, Any] = {}
        if self.public_key is not None:
            more["public_key"] = self.public_key.to_pem()
        if self.order is not TrialOrder.ASK:
            more["order"] = self.order.value
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
            "execution": self.execution.to_json(),
            "limits": self.limits.to_json(),
            **more,
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
            parts["execution"] = Execution.from_json(parts["execution"])
            parts["limits"] = Limits(**parts["limits"])
            parts["order"] = TrialOrder(parts.get("order", TrialOrder.ASK))
            if "public_key" in parts:
                parts["public_key"] = PublicKey.from_pem(parts["public_key"])
            return cls(**parts)
        except ContractError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ContractError(f"this isn't a run's plan: {error!r}") from error

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self).from_json, (self.to_json(),))
