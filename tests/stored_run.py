"""A run that is there, with the outputs of its simulations stored, made without a cluster."""

from __future__ import annotations

import datetime
import json
import random
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from modelops.analysis.known_run import KnownRun
from modelops.analysis.run_code import RunCode
from modelops.analysis.stored_outputs import StoredOutputs
from modelops.contracts import (
    BundleRef,
    FloatParameter,
    RunPlan,
    SearchSpace,
    TrialStatus,
    UniqueParameterSet,
)
from modelops.environments import BundleEnvironment
from modelops.result_store.store import ResultStore
from modelops.runner.records import Trial, TrialOutcome, TrialRecord
from modelops.worker.answer_builder import AnswerBuilder
from modelops.worker.outputs import to_tables

REF = BundleRef("line", f"sha256:{'ab' * 32}")
ENVIRONMENT = "e0" * 32
FN_REF = "model:simulate"
SLOPE = 2.0
ENDED = datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.UTC)

MODEL = """
def simulate(params, seed):
    raise RuntimeError("nothing is simulated")
"""
TARGETS = """
from pathlib import Path

from modelops.calibration import AbsoluteError, Target, target

OBSERVED = [float(line) for line in (Path(__file__).parent / "y.txt").read_text().split()]


@target
def line():
    return Target({"x": list(range(len(OBSERVED))), "y": OBSERVED}, on="x", value="y")
"""


def make_plan(replicates: int = 2, n_trials: int = 8, **changes: object) -> RunPlan:
    plan = RunPlan(
        algorithm="fit",
        type="optuna",
        bundle_ref=REF,
        space=SearchSpace({"slope": FloatParameter(0.0, 4.0), "shift": FloatParameter(-1.0, 1.0)}),
        targets=("line",),
        seed=7,
        n_trials=n_trials,
        n_parallel=min(4, n_trials),
        replicates=replicates,
        options={"sampler": "random"},
    )
    return replace(plan, **changes)  # type: ignore[arg-type]


def simulated(params: Mapping[str, object], seed: int, points: int) -> list[float]:
    slope, shift = float(str(params["slope"])), float(str(params["shift"]))
    noise = random.Random(seed).gauss(0, 0.1)
    return [slope * x + shift + noise for x in range(points)]


@dataclass
class StoredRun:
    """A run of a line's slope and shift; its bundle and its store are folders."""

    folder: Path
    plan: RunPlan = field(default_factory=make_plan)
    points: int = 5
    trials: int = 8
    missing: tuple[int, ...] = ()
    """Trials whose outputs aren't stored."""
    failed: Mapping[int, str] = field(default_factory=dict)
    """Trial → the message that it failed with."""

    def __post_init__(self) -> None:
        self.bundle = self.folder / "bundle"
        self.bundle.mkdir(parents=True)
        (self.bundle / "model.py").write_text(MODEL)
        (self.bundle / "targets.py").write_text(TARGETS)
        observed = [SLOPE * x for x in range(self.points)]
        (self.bundle / "y.txt").write_text("\n".join(map(str, observed)))
        manifest = {"name": "line", "version": "1", "entrypoint": FN_REF}
        (self.bundle / "manifest.json").write_text(json.dumps(manifest))
        self.store = str(self.folder / "store")
        self.observed = observed
        self.run = KnownRun("run", self.plan, tuple(map(self._record, range(self.trials))))
        store = ResultStore(self.store, ENVIRONMENT)
        for record in self.run.records:
            if record.trial.number not in (*self.missing, *self.failed):
                self._keep(store, record)

    @property
    def code(self) -> RunCode:
        packages = BundleEnvironment(sys.executable, (), ENVIRONMENT)
        return RunCode(self.bundle, FN_REF, {"line": "targets:line"}, packages)

    def outputs(self, ours: str = ENVIRONMENT) -> StoredOutputs:
        return StoredOutputs(self.store, "run", self.plan, FN_REF, ours)

    def means(self, trial: Trial) -> list[float]:
        series = [simulated(trial.parameters.params, seed, self.points) for seed in trial.seeds]
        return [sum(column) / len(column) for column in zip(*series, strict=True)]

    def _record(self, number: int) -> TrialRecord:
        chance = random.Random(number)
        params = {"slope": chance.uniform(0, 4), "shift": chance.uniform(-1, 1)}
        trial = Trial.planned(self.plan, UniqueParameterSet.from_dict(params, trial=number))
        ended = ENDED + datetime.timedelta(seconds=number)
        if number in self.failed:
            outcome = TrialOutcome(
                TrialStatus.FAILED, reason="model", message=self.failed[number], seconds=0.1
            )
            return TrialRecord(trial, outcome, ended)
        pairs = zip(self.means(trial), self.observed, strict=True)
        loss = sum((mean - observed) ** 2 for mean, observed in pairs)
        outcome = TrialOutcome(TrialStatus.COMPLETED, loss, {"line": loss}, seconds=0.2)
        return TrialRecord(trial, outcome, ended)

    def _keep(self, store: ResultStore, record: TrialRecord) -> None:
        builder, trial = AnswerBuilder(), record.trial
        for seed in trial.seeds:
            y = simulated(trial.parameters.params, seed, self.points)
            builder.add_tables(to_tables({"x": list(range(self.points)), "y": y}))
            builder.note(0.0, 0.1, "")
        ids = b"".join(bytes.fromhex(item) for item in trial.task_ids(self.plan, FN_REF))
        store.write("run", ids, [True] * len(trial.seeds), builder.encode())
