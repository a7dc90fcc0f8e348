"""The execution seam: a simulation goes in, its tables or its failure come out."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Any, Protocol, Self, runtime_checkable

from modelops.contracts.bundles import BundleRef
from modelops.contracts.canonical import Scalar, canonical_json, check_scalar
from modelops.contracts.errors import ContractError
from modelops.contracts.seeds import check_seed


@dataclass(frozen=True)
class SimTask:
    """One simulation: everything that can change its result, and nothing else.

    Attributes:
        bundle_ref: the code, pinned by digest.
        fn_ref: `module:function` inside the bundle.
        params: the parameters, finite scalars.
        seed: a uint64.
        outputs: the tables to keep; none means all.
    """

    bundle_ref: BundleRef
    fn_ref: str
    params: Mapping[str, Scalar]
    seed: int
    outputs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_fn_ref(self.fn_ref)
        check_seed(self.seed)
        for name, value in self.params.items():
            check_scalar(name, value)
        object.__setattr__(self, "params", MappingProxyType(dict(self.params)))

    @property
    def task_id(self) -> str:
        """The identity of the task, 64 hex digits: SHA-256 of its canonical JSON.

        The digest names the code; from which host or repository it is fetched changes nothing.
        """
        identity = {**self.to_json(), "bundle_ref": self.bundle_ref.digest}
        return hashlib.sha256(b"modelops:task:v1|" + canonical_json(identity)).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """Return the task as JSON."""
        return {
            "bundle_ref": str(self.bundle_ref),
            "fn_ref": self.fn_ref,
            "params": dict(self.params),
            "seed": self.seed,
            "outputs": sorted(self.outputs),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote.

        Raises:
            ContractError: if a part is missing or of another form.
        """
        try:
            return cls(
                bundle_ref=BundleRef.parse(value["bundle_ref"]),
                fn_ref=value["fn_ref"],
                params=value["params"],
                seed=value["seed"],
                outputs=tuple(value["outputs"]),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ContractError(f"this isn't a task: {error!r}") from error

    def __reduce__(self) -> tuple[Any, ...]:
        args = (self.bundle_ref, self.fn_ref, dict(self.params), self.seed, self.outputs)
        return (type(self), args)


class SimStatus(Enum):
    """How a simulation ended."""

    COMPLETED = "completed"
    FAILED = "failed"


class FailureReason(Enum):
    """Whose fault a failure is; only these are a trial's failures, a lost worker is none."""

    MODEL = "model"
    """The model raised, called sys.exit or returned what isn't a result."""
    CRASH = "crash"
    """The model's process died (a signal, os._exit) each time that it was tried."""
    TIMEOUT = "timeout"
    """The simulation took longer than its limit."""
    MEMORY = "memory"
    """The model's process was killed for the memory it took."""
    BUNDLE = "bundle"
    """The bundle couldn't be fetched, verified or imported."""


@dataclass(frozen=True)
class SimFailure:
    """Why a simulation failed: a sentence for people, and what the model wrote (its tail)."""

    reason: FailureReason
    message: str
    details: str = ""


@dataclass(frozen=True)
class SimReturn:
    """What became of a task.

    Guarantees: COMPLETED has tables and no failure, FAILED has a failure and no tables.

    Attributes:
        tables: name → Arrow IPC stream (one record batch stream a table).
        seconds: wall-clock time of the call of the model, not of what surrounds it.
    """

    task_id: str
    status: SimStatus
    tables: Mapping[str, bytes] = field(default_factory=dict)
    failure: SimFailure | None = None
    seconds: float = 0.0

    def __post_init__(self) -> None:
        if (self.status is SimStatus.FAILED) != (self.failure is not None):
            raise ContractError("a failure goes with the status FAILED and with no other")
        if self.failure is not None and self.tables:
            raise ContractError("a failed simulation has no tables")
        object.__setattr__(self, "tables", MappingProxyType(dict(self.tables)))

    def __reduce__(self) -> tuple[Any, ...]:
        args = (self.task_id, self.status, dict(self.tables), self.failure, self.seconds)
        return (type(self), args)


@runtime_checkable
class Future(Protocol):
    """A simulation under way."""

    def result(self, timeout: float | None = None) -> SimReturn:
        """Wait for the outcome; a failed simulation is returned, not raised.

        Raises:
            TimeoutError: if it isn't there after `timeout` seconds.
            concurrent.futures.CancelledError: if it was cancelled.
        """
        ...

    def done(self) -> bool:
        """Return whether the outcome is there or the future was cancelled."""
        ...

    def cancel(self) -> bool:
        """Give the simulation up; return False if it had already ended."""
        ...

    def add_done_callback(self, callback: Callable[["Future"], None]) -> None:
        """Call `callback` with this future once it's done, from any thread; at once if it is."""
        ...


@runtime_checkable
class SimulationService(Protocol):
    """Runs simulations somewhere.

    Guarantees: the outcome of a task depends on the task alone, not on where or in which order it
    ran; a worker that is lost costs time and no result; a failing simulation costs its own result
    and no other's.
    """

    def submit(
        self, fn_ref: str, params: Mapping[str, Scalar], seed: int, *, bundle_ref: BundleRef
    ) -> Future:
        """Start a simulation and return at once.

        Raises:
            ContractError: if a parameter isn't a finite scalar or the seed isn't a uint64.
        """
        ...

    def gather(self, futures: Sequence[Future]) -> list[SimReturn]:
        """Wait for all and return their outcomes in the order of `futures`."""
        ...

    def close(self) -> None:
        """Give up what is under way and free what the service holds. May be called twice."""
        ...


def check_fn_ref(text: str) -> None:
    """Raise ContractError unless `text` is `module:function`, dots allowed in both."""
    module, colon, function = text.partition(":")
    parts = [*module.split("."), *function.split(".")]
    if not colon or not all(part.isidentifier() for part in parts):
        raise ContractError(f"{text!r} isn't module:function")
