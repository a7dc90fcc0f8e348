"""A run for the bench: services whose simulations cost nothing, or time, and a timed algorithm."""

import asyncio
import datetime
import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Self

from modelops.algorithms.discovery import create_algorithm
from modelops.bundles.access import RegistryAccess
from modelops.bundles.packing import pack
from modelops.bundles.stores import open_store
from modelops.contracts import (
    AdaptiveAlgorithm,
    AlgorithmSettings,
    BundleRef,
    FloatParameter,
    Future,
    HasSnapshot,
    RunContext,
    RunPlan,
    Scalar,
    SearchSpace,
    SimReturn,
    SimulationService,
    TrialResult,
    UniqueParameterSet,
)
from modelops.runner.driver import RunDriver
from modelops.runner.holder import Holder
from modelops.runner.journal import Journal
from modelops.runner.progress import RunState
from modelops.runner.records import TrialOutcome
from modelops.services.process import ProcessSimulationService
from modelops.services.transport import Late
from modelops.worker.answer_builder import AnswerBuilder
from modelops.worker.bundle_evaluator import BundleEvaluator
from modelops.worker.chunks import DIGEST_BYTES, Chunk, Done, encode_reply

REF = BundleRef("bench", f"sha256:{'ab' * 32}")
SPACE = SearchSpace({name: FloatParameter(0.0, 1.0) for name in ("x", "y", "z")})
REPLICATES = 5

_MODEL = """\
import math
import os
import random
import time


def naps(params, seed):
    time.sleep({mean} * math.exp(random.Random(seed).gauss(0.0, {sigma}) - {sigma} ** 2 / 2))
    return {{"x": params["x"]}}


def takes_100_ms(params, seed):
    with open({calls!r}, "ab", buffering=0) as calls:
        calls.write(b".")
    time.sleep(0.1)
    return {{"x": params["x"]}}


def waits(params, seed):
    time.sleep(params["seconds"])
    return {{"x": 0.0}}
"""
_TARGETS = """\
from modelops.calibration import MetricAlignment, SquaredError, Target


def best():
    return Target({"x": [0.3]}, alignment=MetricAlignment("x"), loss=SquaredError())
"""


@dataclass(frozen=True)
class RunnerCase:
    """Where a measurement writes, and a bundle whose models take time.

    Attributes:
        folder: for whatever a measurement writes.
        scale: what part of the trials to run; 1 for figures that count.
    """

    folder: Path
    scale: float = 1.0

    def count(self, whole: int) -> int:
        """Return how many trials to run, ten at least."""
        return max(10, round(whole * self.scale))

    def calls(self) -> int:
        """Return how often `takes_100_ms` was called by now."""
        path = self.folder / "calls"
        return path.stat().st_size if path.exists() else 0

    @property
    def registry(self) -> RegistryAccess:
        """Where the bundle is."""
        return RegistryAccess(f"oci-layout://{self.folder / 'registry'}")

    @cached_property
    def bundle_ref(self) -> BundleRef:
        """The bundle with the models `naps`, `takes_100_ms` and `waits`."""
        # Not at the top: the load's numbers belong there.
        from _runner_load import MEAN, SIGMA  # noqa: PLC0415

        bundle = self.folder / "bundle"
        bundle.mkdir()
        manifest = '{"name": "bench", "version": "1.0.0", "entrypoint": "model:naps"}\n'
        (bundle / "manifest.json").write_text(manifest)
        calls = str(self.folder / "calls")
        (bundle / "model.py").write_text(_MODEL.format(mean=MEAN, sigma=SIGMA, calls=calls))
        return open_store(self.registry.url).push("bench/model", pack(bundle))


@contextmanager
def runner_case(scale: float) -> Iterator[RunnerCase]:
    """Give the case in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        yield RunnerCase(Path(folder), scale)


class Instantly:
    """A transport that answers each chunk at once, by what it has answered before.

    To read calls and to make answers is the workers' work, and no cost of who coordinates them.
    """

    def __init__(self) -> None:
        self._replies: dict[int, bytes] = {}

    async def open(self, late: Late) -> None:
        """Do nothing."""

    async def slots(self, wanted: int) -> int:
        """Return two."""
        del wanted
        return 2

    def notice(self, number: int) -> str:
        """Return nothing."""
        del number
        return ""

    async def run(self, data: bytes) -> bytes:
        """Answer."""
        count = len(Chunk.decode(data).digests) // DIGEST_BYTES
        if count not in self._replies:
            builder = AnswerBuilder()
            for number in range(count):
                builder.add_scalars({"x": 1.0 / (1 + number)})
                builder.note(0.0, 1e-6, "")
            self._replies[count] = encode_reply(Done(builder.encode(), seconds=1e-6 * count))
        await asyncio.sleep(0)
        return self._replies[count]

    async def warm(self, data: bytes) -> None:
        """Do nothing."""

    async def close(self) -> None:
        """Do nothing."""


@dataclass
class Timed:
    """An algorithm, and how many seconds its calls took.

    Attributes:
        marks: when each trial was asked.
    """

    inner: AdaptiveAlgorithm
    seconds: float = 0.0
    marks: list[float] = field(default_factory=list)

    @classmethod
    def of(cls, plan: RunPlan) -> Self:
        """Make the plan's algorithm."""
        settings = AlgorithmSettings(
            seed=plan.seed,
            n_trials=plan.n_trials,
            n_parallel=plan.n_parallel,
            options=plan.options,
        )
        return cls(create_algorithm(plan.type, plan.space, settings))

    def ask(self, n: int) -> list[UniqueParameterSet]:
        """Ask."""
        start = time.perf_counter()
        asked = self.inner.ask(n)
        now = time.perf_counter()
        self.seconds += now - start
        self.marks.append(now - self.seconds)
        return asked

    def tell(self, results: Sequence[TrialResult]) -> None:
        """Tell."""
        start = time.perf_counter()
        self.inner.tell(results)
        self.seconds += time.perf_counter() - start

    def finished(self) -> bool:
        """Return whether all was asked."""
        return self.inner.finished()

    def snapshot(self) -> bytes:
        """Return the state."""
        start = time.perf_counter()
        state = self._kept().snapshot()
        self.seconds += time.perf_counter() - start
        return state

    def restore(self, snapshot: bytes) -> None:
        """Take a state over."""
        self._kept().restore(snapshot)

    def _kept(self) -> HasSnapshot:
        assert isinstance(self.inner, HasSnapshot)
        return self.inner


class Silent:
    """An observer that says nothing."""

    def resumed(self, asked: int, ended: int, restored: int) -> None:
        """Say nothing."""

    def trial_ended(self, trial: int, outcome: TrialOutcome) -> None:
        """Say nothing."""

    def turned(self, state: RunState) -> None:
        """Say nothing."""

    def wrote(self, seconds: float) -> None:
        """Say nothing."""


class Noting:
    """A service that notes the seeds which are submitted to another."""

    def __init__(self, inner: SimulationService, seeds: list[int]) -> None:
        self._inner = inner
        self._seeds = seeds

    def submit(
        self, fn_ref: str, params: Mapping[str, Scalar], seed: int, *, bundle_ref: BundleRef
    ) -> Future:
        """Submit."""
        self._seeds.append(seed)
        return self._inner.submit(fn_ref, params, seed, bundle_ref=bundle_ref)

    def gather(self, futures: Sequence[Future]) -> list[SimReturn]:
        """Gather."""
        return self._inner.gather(futures)

    def close(self) -> None:
        """Do nothing: the other is somebody else's to close."""


def make_plan(n_trials: int, *, n_parallel: int = 16, replicates: int = REPLICATES) -> RunPlan:
    """Return the plan of a run of random search."""
    return RunPlan(
        algorithm="bench",
        type="optuna",
        bundle_ref=REF,
        space=SPACE,
        targets=("best",),
        n_trials=n_trials,
        n_parallel=min(n_parallel, n_trials),
        replicates=replicates,
        options={"sampler": "random"},
    )


def driver_of(
    plan: RunPlan,
    journal: Journal,
    *,
    algorithm: Timed,
    service: SimulationService,
    evaluator: BundleEvaluator,
    observer: Silent | None = None,
    fn_ref: str = "model:simulate",
) -> RunDriver:
    """Return what carries a run out, which the journal has by then."""
    journal.begin("run", plan, now())
    return RunDriver(
        plan,
        RunContext("run", {}),
        fn_ref,
        algorithm=algorithm,
        service=service,
        evaluator=evaluator,
        journal=journal,
        clock=now,
        observer=observer or Silent(),
    )


def carry_out(
    plan: RunPlan,
    url: str,
    *,
    algorithm: Timed,
    service: SimulationService,
    evaluator: BundleEvaluator,
    bundle_ref: BundleRef = REF,
    fn_ref: str = "model:simulate",
    seeds: list[int] | None = None,
) -> float:
    """Carry a run out; return when it ended, in terms of `time.perf_counter`."""
    plan = replace(plan, bundle_ref=bundle_ref)
    with Journal.open(url) as journal:
        driver = driver_of(
            plan,
            journal,
            algorithm=algorithm,
            service=service if seeds is None else Noting(service, seeds),
            evaluator=evaluator,
            fn_ref=fn_ref,
        )
        lease = journal.acquire("run", Holder.current(), 3600.0)
        stop = driver.run()
        end = time.perf_counter()
        journal.release(lease)
    if stop.failed:
        raise SystemExit(stop.message)
    return end


@contextmanager
def model_service(
    case: RunnerCase, slots: int, store: str = ""
) -> Iterator[ProcessSimulationService]:
    """Give a service that runs the case's bundle in processes of this machine."""
    os.environ["MODELOPS_HOME"] = str(case.folder / "home")
    with ProcessSimulationService(
        slots,
        registry=case.registry,
        cache_root=case.folder / "cache",
        task_timeout=60.0,
        object_store_url=store,
    ) as service:
        yield service


@contextmanager
def evaluator() -> Iterator[BundleEvaluator]:
    """Give what evaluates trials, as in a run: a child with a target of one number."""
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder)
        (bundle / "targets.py").write_text(_TARGETS)
        with BundleEvaluator(bundle, {"best": "targets:best"}) as found:
            yield found


def now() -> datetime.datetime:
    """Return the present moment."""
    return datetime.datetime.now(datetime.UTC)
