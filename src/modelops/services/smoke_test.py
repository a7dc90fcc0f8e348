"""The smoke test: a bundle goes from here to a worker, runs there, and its result comes back.

Each step has a limit of time, also where the other side hangs; what is stuck is left behind.
"""

import json
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import wait
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from modelops.bundles.access import RegistryAccess
from modelops.bundles.artifact import ImageManifest
from modelops.bundles.manifest import read_manifest
from modelops.bundles.packing import PackedBundle, pack
from modelops.bundles.reach import why_unreachable
from modelops.bundles.stores import REGISTRY_SCHEME, open_store, store_of
from modelops.bundles.validate import validate_bundle
from modelops.contracts import BundleRef, FailureReason, Future, Scalar, SimFailure, SimReturn
from modelops.core.background import start
from modelops.core.errors import BundleError, BundleFileError, ServiceError
from modelops.services.cluster_place import ClusterPlace
from modelops.services.dask_check import WorkerCheck, check_cluster
from modelops.services.dask_connection import client_security
from modelops.services.dask_simulation import DaskSimulationService
from modelops.services.smoke_bundle import SmokeBundle
from modelops.services.smoke_place import BundlePlace, find_place
from modelops.services.smoke_steps import ModelFailedError, Step, StepOutcome, carry_out
from modelops.worker.outputs import OUTPUT, from_ipc

DEFAULT_SECONDS = 60.0
"""How long a smoke test may take, unless its caller says otherwise."""

# What is there answers in a moment; nobody has to wait for the whole time. It's much all the same,
# for machines that are overloaded.
_SHARES = {Step.REGISTRY: 0.5, Step.SCHEDULER: 0.5}
_ASKING_SECONDS = 10.0
_LOOK_SECONDS = 0.5
_CLOSING_SECONDS = 2.0
# Of the time that a step has left: so that it says itself why it gives up.
_MOST_OF = 0.8
_OF_A_MODEL = 0.6
_TIME_HINT = "If it takes that long, give it more time: --timeout SECONDS"
_WORKERS_HINT = (
    "See: mops workspace status, and the workers' logs: mops logs. What died is healed by: "
    "mops workspace up"
)


@dataclass(frozen=True)
class SmokeRequest:
    """What is to be tried, and where.

    Attributes:
        registry: finds the environment's own registry, which its workers fetch from.
        scheduler: finds the environment's Dask cluster.
        bundle: a bundle's directory, or one that is in the registry; None to make one.
        params: what to call the model of a given bundle with.
        elsewhere: the URL of a registry to use instead of the environment's own.
        prefix: what repositories' names begin with in the environment's registry; may be empty.
        seconds: how long all of it may take.
    """

    registry: Callable[[], RegistryAccess]
    scheduler: Callable[[], ClusterPlace]
    bundle: Path | BundleRef | None = None
    params: Mapping[str, Scalar] = field(default_factory=dict)
    elsewhere: str | None = None
    prefix: str = ""
    seconds: float = DEFAULT_SECONDS

    def __post_init__(self) -> None:
        object.__setattr__(self, "params", MappingProxyType(dict(self.params)))


class SmokeTest:
    """One smoke test, to be carried out once."""

    # What the steps find for those that follow.
    _packed: PackedBundle
    _entrypoint: str
    _place: BundlePlace
    _ref: BundleRef
    _cluster: ClusterPlace
    _future: Future
    _outcome: SimReturn
    _service: DaskSimulationService | None = None

    def __init__(self, request: SmokeRequest) -> None:
        """Prepare it; nothing is done yet."""
        self._request = request
        self._own = SmokeBundle.make() if request.bundle is None else None
        self._params = request.params if self._own is None else self._own.params
        self._seed = 1 if self._own is None else self._own.seed
        self._is_over = threading.Event()
        self._test_ends = self._step_ends = 0.0
        # What is said if the step that is under way takes too long: what it waits for, what to do.
        self._waits_for = ("", "")

    def steps(self, on_begin: Callable[[Step], None]) -> Iterator[StepOutcome]:
        """Carry out the steps and yield what became of each, up to the first that fails.

        `on_begin` is told of each before it begins.
        """
        works = {
            Step.BUNDLE: self._make,
            Step.REGISTRY: self._reach,
            Step.PUSH: self._push,
            Step.SCHEDULER: self._connect,
            Step.WORKERS: self._look_for_workers,
            Step.RUN: self._run,
            Step.RESULT: self._compare,
        }
        self._test_ends = time.monotonic() + self._request.seconds
        # What is stuck may still write into the folder.
        with tempfile.TemporaryDirectory(prefix="mops-", ignore_cleanup_errors=True) as folder:
            self._folder = Path(folder)
            try:
                for step, work in works.items():
                    on_begin(step)
                    outcome = self._carry_out(step, work)
                    yield outcome
                    if not outcome.is_ok:
                        return
            finally:
                self._is_over.set()
                if self._service is not None:
                    wait([start(self._service.close)], timeout=_CLOSING_SECONDS)

    def _carry_out(self, step: Step, work: Callable[[], str]) -> StepOutcome:
        now = time.monotonic()
        most = _SHARES.get(step, 1.0) * self._request.seconds
        seconds = max(0.0, min(self._test_ends - now, most))
        self._step_ends = now + seconds

        def stuck() -> ServiceError:
            what, hint = self._waits_for
            return ServiceError(f"{what}, and {seconds:.0f} s are over.", hint=hint)

        return carry_out(step, work, seconds, stuck)

    def _left(self) -> float:
        """Return how long a part of the step that is under way may take."""
        return max(0.1, _MOST_OF * (self._step_ends - time.monotonic()))

    # The steps: each returns what is worth a look, or raises.

    def _make(self) -> str:
        folder = self._request.bundle or self._folder
        if isinstance(folder, BundleRef):
            return str(folder)
        if self._own is not None:
            self._own.write(folder)
        self._waits_for = (f"The bundle {folder} isn't packed yet", _TIME_HINT)
        errors = [found for found in validate_bundle(folder) if found.severity == "error"]
        if errors:
            what = "; ".join(found.message for found in errors)
            hint = "\n".join(found.hint for found in errors if found.hint)
            raise BundleFileError(f"The bundle {folder} isn't valid: {what}", hint=hint)
        self._packed = pack(folder)
        self._entrypoint = read_manifest(folder).entrypoint
        return f"{self._packed.name}, {self._packed.size:,} bytes"

    def _reach(self) -> str:
        given, elsewhere = self._request.bundle, self._request.elsewhere
        if isinstance(given, BundleRef) and given.host is not None:
            elsewhere = f"{REGISTRY_SCHEME}{given.host}"
        self._waits_for = ("It isn't known yet which registry the environment has", _TIME_HINT)
        self._place = find_place(self._request.registry, elsewhere)
        access = self._place.access
        hint = "See: mops registry status. What died is healed by: mops registry up"
        self._waits_for = (f"The bundle registry {access.url} doesn't answer", hint)
        problem = why_unreachable(access)
        if problem:
            reason, _, more = problem.partition("\n")
            hints = (more, hint if self._place.is_own else "")
            raise BundleError(reason, hint="\n".join(part for part in hints if part))
        return access.url

    def _push(self) -> str:
        given, access = self._request.bundle, self._place.access
        self._waits_for = (f"The bundle registry {access.url} hasn't got the bundle", _TIME_HINT)
        if isinstance(given, BundleRef):
            self._ref = self._place.seen_by_workers(given)
            self._entrypoint = self._read_entrypoint(self._ref)
            return f"{self._ref} is there"
        prefix = self._request.prefix.strip("/") if self._place.is_own else ""
        name = f"{prefix}/{self._packed.name}" if prefix else self._packed.name
        pushed = open_store(access).push(name, self._packed)
        self._ref = self._place.seen_by_workers(pushed)
        return str(self._ref)

    def _connect(self) -> str:
        self._waits_for = ("It isn't known yet which scheduler the environment has", _TIME_HINT)
        self._cluster = self._request.scheduler()
        address = self._cluster.address
        hint = "See whether it runs and isn't stopped: mops workspace status"
        self._waits_for = (f"The Dask scheduler at {address} doesn't answer", hint)
        rest = max(1.0, self._test_ends - time.monotonic())
        self._service = DaskSimulationService(
            address,
            # A model that hangs ends before the test does, and is called what it is.
            task_timeout=_OF_A_MODEL * rest,
            security=client_security(self._cluster.environ),
            connect_timeout=round(self._left(), 1),
            reconnect_timeout=rest,
        )
        return address

    def _look_for_workers(self) -> str:
        # It's submitted first, since a group that may be empty grows for what there is to do.
        self._waits_for = ("The Dask scheduler took no task", _TIME_HINT)
        if self._service is None:
            raise ServiceError("There is no connection to the Dask scheduler.")
        self._future = self._service.submit(
            self._entrypoint, self._params, self._seed, bundle_ref=self._ref
        )
        self._waits_for = ("No worker has registered with the Dask scheduler", _WORKERS_HINT)
        while not self._is_over.is_set():
            found = check_cluster(self._cluster, min(_ASKING_SECONDS, self._left()), self._ref)
            if found.workers or self._future.done():
                _refuse(found.unfit)
                return _counted(found.workers, found.slots)
            # Nobody tells when a worker comes.
            self._is_over.wait(_LOOK_SECONDS)
        raise ServiceError("The smoke test is over.")

    def _run(self) -> str:
        self._waits_for = ("No worker has run the bundle", _TIME_HINT)
        try:
            self._outcome = self._future.result(self._left())
        except TimeoutError:
            raise self._why_it_waits() from None
        if self._outcome.failure is not None:
            raise self._explained(self._outcome.failure)
        return f"{self._entrypoint} took {self._outcome.seconds:.2f} s"

    def _compare(self) -> str:
        tables = {name: from_ipc(data) for name, data in self._outcome.tables.items()}
        if self._own is None:
            return "; ".join(
                f"{name}: {table.num_rows:,} rows, {table.num_columns} columns"
                for name, table in tables.items()
            )
        found = {name: table.to_pydict() for name, table in tables.items()}
        expected = {OUTPUT: self._own.expected()}
        if found != expected:
            raise ServiceError(
                f"The worker returned {found}, but {dict(self._params)} and the seed {self._seed} "
                f"give {expected}.",
                hint="The worker ran other code than it was sent. Compare versions: "
                "mops dev test-connection",
            )
        return f"as {dict(self._params)} and the seed {self._seed} give"

    def _read_entrypoint(self, ref: BundleRef) -> str:
        """Return the model that a bundle in the registry runs, from the artifact's config."""
        store = store_of(ref, self._place.access)
        config = ImageManifest.parse(store.read_manifest(ref)).config
        file = self._folder / "config.json"
        store.fetch_blob(ref, config, file)
        try:
            return str(json.loads(file.read_bytes())["entrypoint"])
        except (ValueError, KeyError, TypeError) as error:
            raise BundleError(
                f"The config of {ref} names no entrypoint.", hint="Push the bundle again."
            ) from error

    def _why_it_waits(self) -> ServiceError:
        """Return why there is no result yet."""
        found = check_cluster(self._cluster, self._left())
        if not found.workers:
            return ServiceError("The workers are gone: none is registered.", hint=_WORKERS_HINT)
        _refuse(found.unfit)
        workers = _counted(found.workers, found.slots)
        return ServiceError(
            f"The simulation isn't done in time, though the cluster is well ({workers}).",
            hint=f"All slots may be busy with other runs: mops status. {_TIME_HINT}",
        )

    def _explained(self, failure: SimFailure) -> ServiceError:
        if failure.reason is FailureReason.BUNDLE:
            what, hint = "A worker can't use the bundle", _WORKERS_HINT
        else:
            is_plain = failure.reason is FailureReason.MODEL
            what = "The model failed" if is_plain else f"The model failed ({failure.reason.value})"
            hint = f"It was called with the parameters {dict(self._params)}, seed {self._seed}."
            if self._own is None:
                hint += " Give it others with: --param NAME=VALUE"
            if failure.reason is FailureReason.TIMEOUT:
                hint = _TIME_HINT
        return ModelFailedError(f"{what}: {failure.message}", hint=hint, output=failure.details)


def _refuse(unfit: tuple[WorkerCheck, ...]) -> None:
    """Raise if there are workers that can't get the bundle."""
    if not unfit:
        return
    reason, _, hint = unfit[0].problem.partition("\n")
    others = f" (and {len(unfit) - 1} more)" if len(unfit) > 1 else ""
    raise ServiceError(
        f"The worker {unfit[0].name}{others} can't get the bundle: {reason}",
        hint="\n".join(part for part in (hint, _WORKERS_HINT) if part),
    )


def _counted(workers: tuple[WorkerCheck, ...], slots: int) -> str:
    return f"{len(workers)} worker{'s' * (len(workers) != 1)}, {slots} slot{'s' * (slots != 1)}"
