"""The runner as a process of its own, on a real Dask cluster with real bundles."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from modelops.bundles.packing import pack
from modelops.bundles.stores import open_store
from modelops.contracts import BundleRef, FloatParameter, IntParameter, Limits, RunPlan, SearchSpace
from modelops.runner.journal import Journal, RunProgress, RunState
from modelops.runner.results import has_results, read_results
from modelops.services.dask_settings import SCHEDULER_ENV, WORKER_ENV
from modelops.worker.lifeline import LIFELINE_VARIABLE

pytestmark = pytest.mark.integration

MODEL = """
import random
import socket

def simulate(params, seed):
    noise = random.Random(seed).gauss(0, 0.1)
    y = [params["slope"] * x + params["shift"] + noise for x in range(3)]
    return {{"x": [0, 1, 2], "y": y}}

def reports(params, seed):
    # Whoever listens lets each call go on by closing the connection.
    with socket.create_connection(("127.0.0.1", {port})) as connection:
        connection.recv(1)
    return simulate(params, seed)

def raises(params, seed):
    print("about to divide")
    return {{"x": [0], "y": [1 / 0]}}
"""
TARGETS = """
from modelops.calibration import Target, target

@target
def line():
    return Target({"x": [0, 1, 2], "y": [1.0, 3.0, 5.0]}, on="x", value="y")

@target("last")
def last_point():
    return Target({"x": [2], "y": [5.0]}, on="x", value="y", weight=0.5)
"""
REGISTRY = """
models:
  reports: {path: model.py, entrypoint: "model:reports"}
  raises: {path: model.py, entrypoint: "model:raises"}
targets:
  line: {path: targets.py, entrypoint: "targets:line"}
  last: {path: targets.py, entrypoint: "targets:last_point"}
"""
N_TRIALS = 24
SECONDS = 50.0
"""How long anything may take before a test fails."""


class Cluster:
    """A scheduler and its workers on loopback; they end with the test process, however it ends."""

    def __init__(self, folder: Path, workers: int, stack: ExitStack) -> None:
        self._folder = folder
        self.address = f"tcp://127.0.0.1:{_free_port()}"
        self.environment = {
            "DASK_SCHEDULER": self.address,
            "MODELOPS_BUNDLE_REGISTRY": f"oci-layout://{folder / 'store'}",
            "MODELOPS_HOME": str(folder / "home"),
        }
        self._lifeline, writer = os.pipe()
        stack.callback(os.close, self._lifeline)
        stack.callback(os.close, writer)
        port = self.address.rpartition(":")[2]
        scheduler = self._start(
            dict(SCHEDULER_ENV),
            *("distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", port),
            *("--no-show", "--no-dashboard", "--dashboard-address", "127.0.0.1:0"),
            *("--preload", "modelops.worker.lifeline"),
        )
        stack.callback(_stop, scheduler)
        supervisor = self._start(
            dict(WORKER_ENV),
            *("modelops.worker.supervisor", "--scheduler", self.address, "--name", "cpu"),
            *("--min", str(workers), "--max", str(workers)),
            *("--local-directory", str(folder / "dask")),
        )
        stack.callback(_stop, supervisor)
        assert supervisor.stderr is not None
        lines = iter(supervisor.stderr.readline, "")
        assert any("have registered" in line for line in lines), "the workers didn't start"
        threading.Thread(target=supervisor.stderr.read, daemon=True).start()

    def push_bundle(self, port: int) -> BundleRef:
        """Write the bundle and put it where the workers fetch it."""
        bundle = self._folder / "bundle"
        (bundle / ".modelops-bundle").mkdir(parents=True)
        manifest = {"name": "model", "version": "1.0.0", "entrypoint": "model:simulate"}
        (bundle / "manifest.json").write_text(json.dumps(manifest))
        (bundle / "model.py").write_text(MODEL.format(port=port))
        (bundle / "targets.py").write_text(TARGETS)
        (bundle / ".modelops-bundle" / "registry.yaml").write_text(REGISTRY)
        store = open_store(self.environment["MODELOPS_BUNDLE_REGISTRY"])
        return store.push("tests/model", pack(bundle))

    def _start(self, environment: dict[str, str], *module: str) -> subprocess.Popen[str]:
        lifeline = {LIFELINE_VARIABLE: str(self._lifeline)}
        return subprocess.Popen(
            [sys.executable, "-m", *module],
            env={**os.environ, **self.environment, **environment, **lifeline},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE if "supervisor" in module[0] else subprocess.DEVNULL,
            pass_fds=(self._lifeline,),
            text=True,
        )


class Runs:
    """Starts runners on a cluster and reads what became of their runs."""

    def __init__(self, cluster: Cluster, folder: Path, port: int, stack: ExitStack) -> None:
        self._cluster = cluster
        self._folder = folder
        self._stack = stack
        self._ref = cluster.push_bundle(port)
        self.database = f"sqlite:///{folder}/runs.db"
        self.store = (folder / "results").as_uri()

    def plan(self, model: str | None = None) -> RunPlan:
        return RunPlan(
            algorithm="fit",
            type="optuna",
            bundle_ref=self._ref,
            space=SearchSpace({"slope": FloatParameter(0.0, 4.0), "shift": IntParameter(-2, 2)}),
            targets=("line", "last"),
            model=model,
            seed=2**63 + 5,
            n_trials=N_TRIALS,
            n_parallel=5,
            replicates=2,
            options={"sampler": "tpe", "n_startup_trials": 6},
        )

    def start(
        self, run_id: str, plan: RunPlan, *, pass_fds: tuple[int, ...] = (), **environment: str
    ) -> subprocess.Popen[str]:
        file = self._folder / f"{run_id}.json"
        file.write_text(json.dumps({"run_id": run_id, "env": "dev", "plan": plan.to_json()}))
        variables = {
            **self._cluster.environment,
            "DATABASE_URL": self.database,
            "OBJECT_STORE_URL": self.store,
        }
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "modelops.runner.main", "--run", str(file)),
                *("--ready-file", str(self.ready_file(run_id))),
            ],
            env={**os.environ, **variables, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            pass_fds=pass_fds,
            text=True,
        )
        self._stack.callback(_end, process)
        return process

    def finish(self, run_id: str, plan: RunPlan, expect: int = 0, **environment: str) -> str:
        """Run to the end and return the log."""
        process = self.start(run_id, plan, **environment)
        _, log = process.communicate(timeout=SECONDS)
        assert process.returncode == expect, log
        return log

    def ready_file(self, run_id: str) -> Path:
        return self._folder / f"{run_id}.ready"

    def results(self, run_id: str) -> pa.Table:
        """Return the run's results without what the clock says."""
        return read_results(self.store, run_id).drop_columns(["seconds"])

    def progress(self, run_id: str) -> RunProgress:
        with Journal.open(self.database) as journal:
            progress = journal.progress(run_id)
        assert progress is not None
        return progress


class Gate:
    """Lets the calls of the model `reports` through and knows how many there were."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.settimeout(SECONDS)

    @property
    def port(self) -> int:
        port: int = self._socket.getsockname()[1]
        return port

    def let_through(self, calls: int) -> None:
        """Wait for that many calls and let each go on."""
        for _ in range(calls):
            self._socket.accept()[0].close()

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Let all calls through meanwhile."""
        done = threading.Event()

        def accept() -> None:
            while not done.is_set():
                self.let_through(1)

        thread = threading.Thread(target=accept)
        thread.start()
        yield
        done.set()
        socket.create_connection(("127.0.0.1", self.port)).close()
        thread.join()

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(scope="module")
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.close()


@pytest.fixture(scope="module")
def make_runs(
    tmp_path_factory: pytest.TempPathFactory, gate: Gate
) -> Iterator[Callable[[int], Runs]]:
    with ExitStack() as stack:

        def make(workers: int) -> Runs:
            folder = tmp_path_factory.mktemp(f"workers-{workers}")
            return Runs(Cluster(folder, workers, stack), folder, gate.port, stack)

        yield make


@pytest.fixture(scope="module")
def runs(make_runs: Callable[[int], Runs]) -> Runs:
    return make_runs(2)


@pytest.fixture(scope="module", autouse=True)
def without_scheduler(runs: Runs) -> subprocess.Popen[str]:
    """A runner that waits for a scheduler in vain; started first, since that takes its time."""
    return runs.start("alone", runs.plan(), DASK_SCHEDULER="tcp://127.0.0.1:1")


@pytest.fixture(scope="module")
def reference(runs: Runs) -> pa.Table:
    log = runs.finish("reference", runs.plan())
    assert "finished completed_trials=24 failed_trials=0" in log
    return runs.results("reference")


def test_a_run_finds_the_line_and_records_all(runs: Runs, reference: pa.Table) -> None:
    assert reference.column("trial").to_pylist() == list(range(N_TRIALS))
    assert set(reference.column("status").to_pylist()) == {"completed"}
    progress = runs.progress("reference")
    assert progress.state is RunState.FINISHED
    assert (progress.asked, progress.completed, progress.failed) == (N_TRIALS, N_TRIALS, 0)
    assert progress.best_loss == min(reference.column("loss").to_pylist())
    for row in reference.to_pylist():
        assert row["loss"] == pytest.approx(row["part.line"] + 0.5 * row["part.last"])
    assert json.loads(runs.ready_file("reference").read_text())["run_id"] == "reference"


def test_a_finished_run_is_finished(runs: Runs, reference: pa.Table) -> None:
    (Path(runs.store.removeprefix("file://")) / "runs/reference/trials.parquet").unlink()
    runs.ready_file("reference").unlink()
    # No scheduler is needed for what is done.
    log = runs.finish("reference", runs.plan(), DASK_SCHEDULER="tcp://127.0.0.1:1")
    assert "finished already" in log
    assert runs.results("reference").equals(reference)
    assert runs.ready_file("reference").exists()


@pytest.mark.parametrize("workers", [1, 4])
def test_the_number_of_workers_changes_nothing(
    make_runs: Callable[[int], Runs], reference: pa.Table, workers: int
) -> None:
    other = make_runs(workers)
    other.finish("reference", other.plan())
    assert other.results("reference").equals(reference)


def test_a_runner_ends_with_its_launcher(runs: Runs, gate: Gate) -> None:
    reading, writing = os.pipe()
    try:
        lifeline = {LIFELINE_VARIABLE: str(reading)}
        plan = runs.plan(model="reports")
        process = runs.start("orphan", plan, pass_fds=(reading,), **lifeline)
        gate.let_through(4)
    finally:
        os.close(reading)
        os.close(writing)
    # What is under way ends by itself, so that the workers are free again.
    with gate.opened():
        process.communicate(timeout=SECONDS)
    assert process.returncode == 1
    assert runs.progress("orphan").state is RunState.RUNNING


@pytest.mark.parametrize(
    ("number", "exit_code"), [(signal.SIGKILL, -9), (signal.SIGTERM, 143), (signal.SIGINT, 130)]
)
def test_a_runner_that_was_ended_goes_on_where_it_was(
    runs: Runs, reference: pa.Table, gate: Gate, number: signal.Signals, exit_code: int
) -> None:
    run_id = f"ended-by-{number.name.lower()}"
    plan = runs.plan(model="reports")
    process = runs.start(run_id, plan)
    gate.let_through(N_TRIALS)
    process.send_signal(number)
    _, log = process.communicate(timeout=SECONDS)
    assert process.returncode == exit_code, log
    half_way = runs.progress(run_id)
    assert half_way.state is RunState.RUNNING
    assert 0 < half_way.completed < N_TRIALS
    assert not has_results(runs.store, run_id)

    with gate.opened():
        log = runs.finish(run_id, plan)
    assert f"resume replayed_trials={half_way.completed}" in log
    with Journal.open(runs.database) as journal:
        records = list(journal.trials(run_id))
    assert [record.trial.number for record in records] == list(range(N_TRIALS))
    assert all(record.outcome is not None for record in records)
    assert runs.results(run_id).equals(reference)


def test_a_model_that_raises_fails_the_run_with_what_it_wrote(runs: Runs) -> None:
    log = runs.finish("raises", runs.plan(model="raises"), expect=1)
    assert "trial_failed trial=0 reason=model" in log
    assert "ZeroDivisionError" in log
    assert "| about to divide" in log
    progress = runs.progress("raises")
    assert progress.state is RunState.FAILED
    assert (
        "5 of the first 5 trials failed, and the limits allow 4 of 24 (max_failures)"
        in progress.message
    )
    assert "ZeroDivisionError" in progress.message
    assert runs.results("raises").column("status").to_pylist()[:5] == ["failed"] * 5


def test_a_failed_run_goes_on_when_its_cause_is_gone(runs: Runs, reference: pa.Table) -> None:
    plan = runs.plan()
    log = runs.finish("revived", plan, expect=1, OBJECT_STORE_URL="nosuchscheme://x")
    assert "nosuchscheme" in log
    assert runs.progress("revived").state is RunState.FAILED
    log = runs.finish("revived", plan)
    assert "resume replayed_trials=24" in log
    assert runs.progress("revived").message == ""
    assert runs.results("revived").equals(reference)


def test_a_run_id_of_another_plan_is_refused(runs: Runs, reference: pa.Table) -> None:
    log = runs.finish("reference", replace(runs.plan(), seed=1), expect=1)
    assert "belongs to a run of another plan; what differs: seed" in log
    assert "--run-id" in log
    assert runs.progress("reference").state is RunState.FINISHED


@pytest.mark.parametrize(
    ("changes", "expect", "message"),
    [
        ({"options": {"sampler": "tpee"}}, 2, "Did you mean `tpe`"),
        ({"type": "optunna"}, 2, "Did you mean `optuna`"),
        ({"targets": ("lime",)}, 2, "no target 'lime'"),
        ({"model": "report"}, 2, "no model 'report'"),
        ({"bundle_ref": BundleRef("tests/model", f"sha256:{'0' * 64}")}, 1, "sha256:000"),
        ({"limits": Limits(task_timeout=1e-4)}, 1, "reason=timeout"),
    ],
)
def test_what_cannot_work_says_why(
    runs: Runs, changes: dict[str, object], expect: int, message: str
) -> None:
    run_id = f"wrong-{next(iter(changes)).replace('_', '-')}"
    log = runs.finish(run_id, replace(runs.plan(), **changes), expect=expect)
    assert message in log
    assert "Traceback" not in log
    assert runs.progress(run_id).state is RunState.FAILED


def test_a_scheduler_that_is_not_there(
    runs: Runs, without_scheduler: subprocess.Popen[str]
) -> None:
    _, log = without_scheduler.communicate(timeout=SECONDS)
    assert without_scheduler.returncode == 1, log
    assert "tcp://127.0.0.1:1" in log
    assert "tcp://127.0.0.1:1" in runs.progress("alone").message
    assert not runs.ready_file("alone").exists()


def test_a_missing_variable_is_invalid_input(runs: Runs) -> None:
    assert "lacks DATABASE_URL" in runs.finish("unset", runs.plan(), expect=2, DATABASE_URL="")


def _stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(SECONDS)
    finally:
        _end(process)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait(SECONDS)
    if process.stderr is not None:
        process.stderr.close()
