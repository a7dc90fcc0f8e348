"""The execution seam: a simulation goes in, its tables or its failure come out."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol, Self, runtime_checkable

from modelops.contracts.bundles import BundleRef
from modelops.contracts.canonical import JSONValue, Scalar, canonical_json, canonical_params
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
        object.__setattr__(self, "params", MappingProxyType(dict(self.params)))
        # It checks all parts.
        encode_call(self.bundle_ref, self.fn_ref, self.params, self.seed, self.outputs)

    @property
    def task_id(self) -> str:
        """The identity of the task, 64 hex digits: SHA-256 of its canonical JSON.

        The digest names the code; from which host or repository it is fetched changes nothing.
        """
        return self._encoded.digest.hex()

    @property
    def call(self) -> bytes:
        """What the function is called with; see `EncodedCall`."""
        return self._encoded.call

    @property
    def _encoded(self) -> "EncodedCall":
        return encode_call(self.bundle_ref, self.fn_ref, self.params, self.seed, self.outputs)

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
    OUTPUT = "output"
    """The model wrote or returned more than is kept."""
    FILES = "files"
    """The model opened more files than it may."""
    BUNDLE = "bundle"
    """The bundle couldn't be fetched, verified or imported."""


@dataclass(frozen=True)
class SimFailure:
    """Why a simulation failed: a sentence for people, and what the model wrote (its tail)."""

    reason: FailureReason
    message: str
    details: str = ""


@dataclass(frozen=True)
class SimTiming:
    """Where the time of a simulation went, in seconds.

    Attributes:
        waiting: from `submit` until its call began, as far as others were called before it.
        starting: fetching the bundle, starting a child, importing the model.
        running: the call.
        returning: all else: the way to the worker and back.
    """

    waiting: float
    starting: float
    running: float
    returning: float


@dataclass(frozen=True)
class AlignedOutputs:
    """What a simulation has for the observed points of targets, found where its tables were made.

    Attributes:
        points: target's id → little-endian float64, a number for each of the target's points.
    """

    points: Mapping[str, bytes]

    def __post_init__(self) -> None:
        object.__setattr__(self, "points", MappingProxyType(dict(self.points)))

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (dict(self.points),))


Outputs = Mapping[str, bytes] | AlignedOutputs
"""What a simulation gave: its tables, name → Arrow IPC stream, or what targets need of them."""


@dataclass(frozen=True)
class SimReturn:
    """What became of a task.

    Guarantees: COMPLETED has tables and no failure, FAILED has a failure and no tables. A
    service that was told to align outputs (`AlignsOutputs`), and no other, may give aligned ones
    instead of tables.

    Attributes:
        tables: name → Arrow IPC stream (one record batch stream a table).
        seconds: wall-clock time of the call of the model, not of what surrounds it.
        log: the last of what the model wrote to stdout and stderr during the call.
        timing: where the time went, if the service was asked to tell.
        aligned: what takes the place of the tables, or None.
    """

    task_id: str
    status: SimStatus
    tables: Mapping[str, bytes] = field(default_factory=dict)
    failure: SimFailure | None = None
    seconds: float = 0.0
    log: str = ""
    timing: SimTiming | None = None
    aligned: AlignedOutputs | None = None

    def __post_init__(self) -> None:
        if (self.status is SimStatus.FAILED) != (self.failure is not None):
            raise ContractError("a failure goes with the status FAILED and with no other")
        if self.failure is not None and self.tables:
            raise ContractError("a failed simulation has no tables")
        if self.aligned is not None and (self.tables or self.failure is not None):
            raise ContractError("aligned outputs take the place of tables")
        if isinstance(self.tables, dict):
            # What isn't a dict can't be changed, and may make its tables when they are read.
            object.__setattr__(self, "tables", MappingProxyType(dict(self.tables)))

    @property
    def outputs(self) -> Outputs:
        """The tables, or what takes their place."""
        return self.tables if self.aligned is None else self.aligned

    def __reduce__(self) -> tuple[Any, ...]:
        tables = dict(self.tables)
        args = (self.task_id, self.status, tables, self.failure, self.seconds, self.log)
        return (type(self), (*args, self.timing, self.aligned))


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


@runtime_checkable
class SubmitsMany(Protocol):
    """A simulation service that takes many simulations at once; a service needn't."""

    def submit_many(
        self,
        fn_ref: str,
        calls: Sequence[tuple[Mapping[str, Scalar], int]],
        *,
        bundle_ref: BundleRef,
    ) -> list[Future]:
        """Start simulations and return at once: what `submit` returns of each, in order.

        Args:
            fn_ref: `module:function` in the bundle.
            calls: of each simulation its parameters and its seed.
            bundle_ref: the code.

        Raises:
            ContractError: if a parameter isn't a finite scalar or a seed isn't a uint64; then none
                is started.
        """
        ...


@runtime_checkable
class AlignsOutputs(Protocol):
    """A simulation service that can align large outputs with targets where they were made.

    A service needn't: one that isn't told of targets gives tables.

    Guarantees: what `SimReturn.aligned` holds of a simulation is what the targets find in its
    tables. Where that isn't possible, as where a target raises, or a table is missing, the outcome
    has its tables, so that whoever evaluates it finds out the same. How a simulation ends, and
    what is stored of it, doesn't depend on targets.
    """

    def align_outputs(self, targets: Mapping[str, str]) -> None:
        """Align the outputs, if they are large, of simulations that are submitted from now on.

        Which are large is the service's to say.

        Args:
            targets: target's id → `module:function` in the simulations' bundle; none for tables
                only, as in the beginning.

        Raises:
            ContractError: if a function's name isn't one.
        """
        ...


class EncodedCall(NamedTuple):
    """What a task is reduced to on its way.

    Attributes:
        call: what the function is called with, as JSON: the parameters, canonical, and the seed.
        digest: the 32 bytes that `SimTask.task_id` writes in hex digits.
    """

    call: bytes
    digest: bytes


def encode_call(
    bundle_ref: BundleRef,
    fn_ref: str,
    params: Mapping[str, Scalar],
    seed: int,
    outputs: tuple[str, ...] = (),
) -> EncodedCall:
    """Return a task's call and digest without making the task, in half the time.

    Raises:
        ContractError: as for SimTask.
    """
    (encoded,) = encode_calls(bundle_ref, fn_ref, [(params, seed)], outputs)
    return encoded


def encode_calls(
    bundle_ref: BundleRef,
    fn_ref: str,
    calls: Iterable[tuple[Mapping[str, Scalar], int]],
    outputs: tuple[str, ...] = (),
) -> list[EncodedCall]:
    """Return what `encode_call` does for each of many parameters and seeds.

    Calls that share one mapping and follow each other, as a trial's replicates do, cost the writing
    of their parameters once.

    Raises:
        ContractError: as for SimTask.
    """
    check_fn_ref(fn_ref)
    head = _identity_head(bundle_ref.digest, fn_ref, outputs)
    encoded: list[EncodedCall] = []
    last: Mapping[str, Scalar] | None = None
    text = b""
    for params, seed in calls:
        check_seed(seed)
        if params is not last:
            last, text = params, canonical_params(params)
        digest = hashlib.sha256(b'%b%b,"seed":%d}' % (head, text, seed)).digest()
        encoded.append(EncodedCall(b"[%b,%d]" % (text, seed), digest))
    return encoded


@lru_cache(1_000)
def _identity_head(digest: str, fn_ref: str, outputs: tuple[str, ...]) -> bytes:
    """Return what is hashed of a task before its parameters; the keys are in canonical order."""
    parts: JSONValue = {"bundle_ref": digest, "fn_ref": fn_ref, "outputs": tuple(sorted(outputs))}
    return b'modelops:task:v1|%b,"params":' % canonical_json(parts)[:-1]


@lru_cache(1_000)
def check_fn_ref(text: str) -> None:
    """Raise ContractError unless `text` is `module:function`, dots allowed in both."""
    module, colon, function = text.partition(":")
    parts = [*module.split("."), *function.split(".")]
    if not colon or not all(part.isidentifier() for part in parts):
        raise ContractError(f"{text!r} isn't module:function")
