"""The runner as a process of its own, on a real Dask cluster with real bundles."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pyarrow as pa
import pytest

from free_ports import free_port
from modelops.bundles.packing import pack
from modelops.bundles.signing_keys import SigningKey
from modelops.bundles.stores import open_store
from modelops.contracts import (
    BundleRef,
    Execution,
    FloatParameter,
    IntParameter,
    Limits,
    RunPlan,
    SearchSpace,
    TrialOrder,
)
from modelops.runner.held_lease import LEASE_SECONDS
from modelops.runner.journal import Journal, RunProgress, RunState, Wanted
from modelops.runner.main import PASSING_EXIT_CODE
from modelops.runner.results import has_results, read_results, trial_rows
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

def wide(params, seed):
    # More than a megabyte of which nobody observed anything.
    import numpy

    table = reports(params, seed)
    beyond = numpy.arange(3, 70_000)
    return {{name: numpy.concatenate([values, beyond]) for name, values in table.items()}}

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
  wide: {path: model.py, entrypoint: "model:wide"}
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
        self.address = f"tcp://127.0.0.1:{free_port()}"
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
            *("modelops.worker.supervisor", "--name", "cpu"),
            *("--min", str(workers), "--max", str(workers)),
            *("--local-directory", str(folder / "dask")),
        )
        stack.callback(_stop, supervisor)
        self._supervisor = supervisor
        assert supervisor.stderr is not None
        lines = iter(supervisor.stderr.readline, "")
        assert any("have registered" in line for line in lines), "the workers didn't start"
        threading.Thread(target=supervisor.stderr.read, daemon=True).start()

    def workers(self) -> list[psutil.Process]:
        """Return the workers' processes: the supervisor's own children."""
        return psutil.Process(self._supervisor.pid).children()

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
            # Many of these runs are the same one, which would find all results in the store.
            execution=Execution(keep_outputs=False),
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

    def workers(self) -> list[psutil.Process]:
        """Return the processes of the cluster's workers."""
        return self._cluster.workers()

    def ready_file(self, run_id: str) -> Path:
        return self._folder / f"{run_id}.ready"

    def results(self, run_id: str) -> pa.Table:
        """Return the run's results without what the clock says, and the model's name.

        The tasks' ids depend on that; models that wait give the same as those that don't.
        """
        known = read_results(self.store, run_id).drop_columns(["trial_seconds", "ended_at"])
        place = known.column_names.index("task_id")
        return known.set_column(place, "task_id", pa.nulls(known.num_rows, pa.string()))

    def task_ids(self, run_id: str) -> list[str | None]:
        """Return the ids of the run's simulations."""
        ids: list[str | None] = read_results(self.store, run_id).column("task_id").to_pylist()
        return ids

    def want(self, run_id: str, wanted: Wanted) -> None:
        with Journal.open(self.database) as journal:
            journal.want(run_id, wanted, "a test", datetime.now(UTC))

    def wait_for(self, run_id: str, condition: Callable[[RunProgress], bool]) -> RunProgress:
        """Look at the journal again and again: it can't tell when it has changed."""
        deadline = time.monotonic() + SECONDS
        while not condition(progress := self.progress(run_id)):
            assert time.monotonic() < deadline, progress
            time.sleep(0.05)
        return progress

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
    assert [row["trial"] for row in trial_rows(reference)] == list(range(N_TRIALS))
    assert set(reference.column("status").to_pylist()) == {"completed"}
    progress = runs.progress("reference")
    assert progress.state is RunState.FINISHED
    assert (progress.asked, progress.completed, progress.failed) == (N_TRIALS, N_TRIALS, 0)
    assert progress.best_loss == min(reference.column("loss").to_pylist())
    for row in reference.to_pylist():
        assert row["loss"] == pytest.approx(row["part.line"] + 0.5 * row["part.last"])
    assert json.loads(runs.ready_file("reference").read_text())["run_id"] == "reference"


def test_the_results_name_the_simulations(runs: Runs, reference: pa.Table) -> None:
    ids = runs.task_ids("reference")
    assert len(ids) == len(set(ids)) == reference.num_rows
    assert None not in ids


def test_a_finished_run_is_finished(runs: Runs, reference: pa.Table, tmp_path: Path) -> None:
    file = Path(runs.store.removeprefix("file://")) / "runs/reference/results.parquet"
    written = read_results(runs.store, "reference")
    file.unlink()
    runs.ready_file("reference").unlink()
    # No scheduler is needed for what is done.
    log = runs.finish("reference", runs.plan(), DASK_SCHEDULER="tcp://127.0.0.1:1")
    assert "finished already" in log
    # Also the simulations' ids, which the journal doesn't hold.
    assert read_results(runs.store, "reference").equals(written, check_metadata=True)
    assert runs.ready_file("reference").exists()

    # Where the bundle can't be fetched any more, the rest is written all the same.
    file.unlink()
    gone = {
        "DASK_SCHEDULER": "tcp://127.0.0.1:1",
        "MODELOPS_BUNDLE_REGISTRY": f"oci-layout://{tmp_path / 'gone'}",
        "MODELOPS_HOME": str(tmp_path / "home"),
    }
    assert "no_task_ids" in runs.finish("reference", runs.plan(), **gone)
    assert set(runs.task_ids("reference")) == {None}
    assert runs.results("reference").equals(reference)
    file.unlink()
    runs.finish("reference", runs.plan())


@pytest.mark.timeout(180)
@pytest.mark.parametrize("workers", [1, 4, 8])
def test_the_number_of_workers_changes_nothing(
    make_runs: Callable[[int], Runs], reference: pa.Table, workers: int
) -> None:
    other = make_runs(workers)
    other.finish("reference", other.plan())
    assert other.results("reference").equals(reference)


def test_the_size_of_outputs_changes_nothing(runs: Runs, reference: pa.Table, gate: Gate) -> None:
    plan = replace(runs.plan(model="wide"), execution=Execution(keep_outputs=True))
    process = runs.start("wide", plan)
    gate.let_through(N_TRIALS)
    process.kill()
    process.communicate(timeout=SECONDS)
    assert 0 < runs.progress("wide").completed < N_TRIALS
    # Of the trials that were under way some simulations may be stored, whole, and others not.
    with gate.opened():
        runs.finish("wide", plan)
    assert runs.results("wide").equals(reference)


def test_outputs_of_any_size_are_told_as_they_end(runs: Runs, gate: Gate) -> None:
    def plan(model: str) -> RunPlan:
        few = replace(runs.plan(model), n_trials=10, n_parallel=1)
        return replace(few, order=TrialOrder.COMPLETION)

    with gate.opened():
        for model in ("reports", "wide"):
            runs.finish(f"completion-{model}", plan(model))
    assert runs.results("completion-wide").equals(runs.results("completion-reports"))


def test_two_runners_can_not_have_one_run(runs: Runs, reference: pa.Table, gate: Gate) -> None:
    plan = runs.plan(model="reports")
    first = runs.start("twice", plan)
    gate.let_through(8)
    second = runs.start("twice", plan)
    # It looks for as long as a lease lasts whether the first renews it, which it does sooner.
    _, log = second.communicate(timeout=SECONDS)
    assert second.returncode == PASSING_EXIT_CODE
    assert f"is carried out already, by process {first.pid} on {socket.gethostname()}" in log
    assert first.poll() is None

    # Of one that was killed here nobody waits for the end of the lease.
    first.kill()
    first.wait(SECONDS)
    with gate.opened():
        started = time.monotonic()
        runs.finish("twice", plan)
    assert time.monotonic() - started < LEASE_SECONDS
    assert runs.results("twice").equals(reference)


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


def test_a_runner_that_is_watched_tells_what_it_does(runs: Runs, gate: Gate) -> None:
    port = free_port()
    process = runs.start(
        "watched",
        runs.plan(model="reports"),
        MODELOPS_METRICS_PORT=str(port),
        MODELOPS_LOG_FORMAT="json",
    )
    # So many calls belong to more trials than are under way at a time.
    gate.let_through(16)
    runs.wait_for("watched", lambda progress: progress.completed >= 2)

    def get(path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            read: str = answer.read().decode()
            return read

    assert get("/healthz") == get("/readyz") == "ok\n"
    lines = get("/metrics").splitlines()
    samples = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    assert 'modelops_run_info{algorithm="optuna",run_id="watched"}' in samples
    assert float(samples['modelops_trials_total{outcome="completed"}']) >= 2
    assert 0 < float(samples["modelops_simulations_in_flight"]) <= 10
    assert float(samples["modelops_journal_write_seconds_count"]) > 0
    best = runs.progress("watched").best_loss
    assert best is not None
    assert float(samples["modelops_best_loss"]) >= best

    process.terminate()
    _, log = process.communicate(timeout=SECONDS)
    assert process.returncode == 143
    told = [json.loads(line) for line in log.splitlines()]
    assert {line["run_id"] for line in told} == {"watched"}
    assert (told[0]["event"], told[-1]["event"]) == ("start", "interrupted")


class KilledNowAndThen:
    """Starts a run again and again, and kills its runner after a random number of model calls."""

    def __init__(self, runs: Runs, gate: Gate, seed: int) -> None:
        self._runs = runs
        self._gate = gate
        self._chance = random.Random(seed)

    def finish(self, run_id: str, plan: RunPlan, kills: int) -> None:
        """Carry a run out with so many kills, or fewer where it ends before."""
        for _ in range(kills):
            process = self._runs.start(run_id, plan)
            left = 2 * (N_TRIALS - self._ended(run_id))
            calls = self._chance.randrange(max(1, left // 2))
            try:
                self._gate.let_through(calls)
                # At any moment after that, the very first included.
                time.sleep(self._chance.random() ** 3)
            finally:
                process.kill()
                process.wait(SECONDS)
        with self._gate.opened():
            self._runs.finish(run_id, plan)

    def _ended(self, run_id: str) -> int:
        with Journal.open(self._runs.database) as journal:
            progress = journal.progress(run_id)
        return 0 if progress is None else progress.completed


def check_once_each(database: str, run_id: str) -> None:
    """Check that a journal has each trial once, with its outcome."""
    with Journal.open(database) as journal:
        records = list(journal.trials(run_id))
    assert [record.trial.number for record in records] == list(range(N_TRIALS))
    assert all(record.outcome is not None for record in records)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("database", ["sqlite", "postgres"])
@pytest.mark.parametrize(
    ("seed", "kills"),
    [
        (1, 3),
        *(pytest.param(seed, 5, marks=pytest.mark.chaos) for seed in range(2, 12)),
    ],
)
def test_a_runner_killed_at_any_moment_leaves_the_same_run(
    runs: Runs,
    reference: pa.Table,
    gate: Gate,
    request: pytest.FixtureRequest,
    database: str,
    seed: int,
    kills: int,
) -> None:
    run_id = f"killed-{database}-{seed}"
    kept = runs.database
    if database == "postgres":
        runs.database = request.getfixturevalue("postgres_url")
    try:
        KilledNowAndThen(runs, gate, seed).finish(run_id, runs.plan(model="reports"), kills)
        check_once_each(runs.database, run_id)
    finally:
        runs.database = kept
    assert runs.results(run_id).equals(reference)


@pytest.mark.timeout(300)
def test_workers_that_are_killed_change_nothing(
    make_runs: Callable[[int], Runs], reference: pa.Table, gate: Gate
) -> None:
    """A fifth of them, while they simulate."""
    runs = make_runs(5)
    plan = runs.plan(model="reports")
    process = runs.start("workers", plan)
    for calls in (6, 12):
        gate.let_through(calls)
        random.Random(calls).choice(runs.workers()).kill()
    with gate.opened():
        _, log = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, log
    assert runs.results("workers").equals(reference)


def test_a_paused_run_starts_nothing_even_after_its_runner_was_killed(
    runs: Runs, reference: pa.Table, gate: Gate
) -> None:
    plan = runs.plan(model="reports")
    process = runs.start("paused", plan)
    gate.let_through(6)
    runs.want("paused", Wanted.PAUSED)
    with gate.opened():
        paused = runs.wait_for("paused", lambda run: run.state is RunState.PAUSED)
    # One may have been asked before the pause was seen; its simulations are held back.
    assert paused.completed <= paused.asked <= paused.completed + 1 < N_TRIALS
    assert process.poll() is None

    process.kill()
    process.wait(SECONDS)
    runs.ready_file("paused").unlink()
    again = runs.start("paused", plan)
    runs.wait_for(
        "paused", lambda run: run.state is RunState.PAUSED and runs.ready_file("paused").exists()
    )
    assert again.poll() is None
    assert runs.progress("paused").asked == paused.asked

    runs.want("paused", Wanted.RUNNING)
    with gate.opened():
        _, log = again.communicate(timeout=SECONDS)
    assert again.returncode == 0, log
    assert f"resume replayed_trials={paused.completed}" in log
    assert runs.results("paused").equals(reference)


def test_a_cancelled_run_ends_in_order_and_can_be_reopened(
    runs: Runs, reference: pa.Table, gate: Gate
) -> None:
    plan = runs.plan(model="reports")
    process = runs.start("cancelled", plan)
    gate.let_through(12)
    runs.want("cancelled", Wanted.CANCELLED)
    # The model's calls don't end, and aren't waited for.
    _, log = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, log
    cancelled = runs.progress("cancelled")
    assert cancelled.state is RunState.CANCELLED
    assert 0 < cancelled.completed < cancelled.asked
    assert len(trial_rows(runs.results("cancelled"))) == cancelled.asked
    assert "asked" in runs.results("cancelled").column("status").to_pylist()

    nowhere = {"DASK_SCHEDULER": "tcp://127.0.0.1:1"}
    assert "was cancelled already" in runs.finish("cancelled", plan, **nowhere)
    assert runs.progress("cancelled").asked == cancelled.asked

    runs.want("cancelled", Wanted.RUNNING)
    with gate.opened():
        log = runs.finish("cancelled", plan)
    assert f"resume replayed_trials={cancelled.completed}" in log
    assert runs.results("cancelled").equals(reference)


def test_a_run_that_is_cancelled_while_it_has_no_runner_needs_no_scheduler(
    runs: Runs, gate: Gate
) -> None:
    plan = runs.plan(model="reports")
    process = runs.start("unattended", plan)
    gate.let_through(2)
    process.kill()
    process.wait(SECONDS)
    runs.want("unattended", Wanted.CANCELLED)
    with gate.opened():
        runs.finish("unattended", plan, DASK_SCHEDULER="tcp://127.0.0.1:1")
    assert runs.progress("unattended").state is RunState.CANCELLED
    assert None not in runs.task_ids("unattended")


def test_a_run_that_failed_for_good_is_not_run_again(runs: Runs) -> None:
    plan = replace(runs.plan(model="raises"), n_parallel=1, limits=Limits(max_failures=0))
    runs.finish("hopeless", plan, expect=1)
    failed = runs.progress("hopeless")
    assert (failed.state, failed.is_settled, failed.asked) == (RunState.FAILED, True, 1)
    log = runs.finish("hopeless", plan, DASK_SCHEDULER="tcp://127.0.0.1:1")
    assert "has failed already" in log
    assert runs.progress("hopeless").message == failed.message


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
        ({"public_key": SigningKey.generate().public}, 1, "isn't signed"),
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
    assert without_scheduler.returncode == PASSING_EXIT_CODE, log
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


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait(SECONDS)
    if process.stderr is not None:
        process.stderr.close()
