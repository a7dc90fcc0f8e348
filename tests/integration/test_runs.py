"""What becomes of runs from the command line: pause, resume, cancel, attach, several at once."""

from __future__ import annotations

import datetime
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest
import yaml

from conftest import command_of, processes_below
from integration.machine import eventually
from integration.test_main_job import ended_trials, runner_of, sequence
from modelops.runner.journal import Journal, RunState

if TYPE_CHECKING:
    from integration.conftest import Mops

# Each call of mops is an engine operation or more, a second or two each on an idle machine.
pytestmark = [pytest.mark.integration, pytest.mark.e2e, pytest.mark.timeout(400)]

N_TRIALS = 16
# As many calls end as a test allows; with one worker they come one after the other.
MODEL = """\
import time
from pathlib import Path

import numpy as np


def simulate(params, seed):
    with Path("{folder}/calls").open("a") as calls:
        calls.write("called\\n")
    number = len(Path("{folder}/calls").read_text().split())
    while int(Path("{folder}/allowed").read_text() or 0) < number:
        time.sleep(0.02)
    return {{"x": np.arange(5), "y": params["slope"] * np.arange(5) + (seed % 7) / 10}}
"""


class Calls:
    """Holds a model's calls back, and counts them."""

    def __init__(self, mops: Mops, folder: Path) -> None:
        self._folder = folder
        folder.mkdir()
        mops.write_model(MODEL.format(folder=folder))
        # One call a trial, since the order of a trial's calls among others isn't fixed.
        mops.write_spec(n_trials=N_TRIALS, replicates=1)
        self.allow(0)

    def allow(self, number: int = 10**9) -> None:
        new = self._folder / "new"
        new.write_text(str(number))
        new.replace(self._folder / "allowed")

    @property
    def count(self) -> int:
        return len((self._folder / "calls").read_text().split())


@pytest.fixture
def calls(mops: Mops, tmp_path: Path) -> Calls:
    return Calls(mops, tmp_path / "calls")


def whole_run(mops: Mops, calls: Calls) -> str:
    """Bring all up and let the run of the spec come to its end."""
    calls.allow()
    run_id = mops("up").stdout.strip()
    mops("adaptive", "status", "--watch", "--quiet")
    return run_id


def run_half(mops: Mops, calls: Calls, run_id: str) -> None:
    """Start a run, and let two of its trials end while more are under way."""
    calls.allow(calls.count + 2)
    mops("adaptive", "up", "--run-id", run_id, "--detach")
    eventually(lambda: ended_trials(mops, run_id) == 2, 100)


def kill_runner(mops: Mops, run_id: str) -> None:
    """Kill a runner and wait until its launcher has ended too."""
    runner_of(mops, run_id).kill()
    eventually(
        lambda: (
            not any(
                "modelops.runner.main" in command_of(process)
                and f"run-{run_id}" in str(command_of(process))
                for process in processes_below(mops.home.resolve())
            )
        )
    )


def finish(mops: Mops, calls: Calls, run_id: str) -> None:
    calls.allow()
    mops("adaptive", "status", "--watch", "--run-id", run_id, "--quiet")


def run_of(mops: Mops, run_id: str) -> dict[str, Any]:
    return next(run for run in mops.json("adaptive", "list") if run["run_id"] == run_id)


def journal_of(mops: Mops) -> Journal:
    return Journal.open(f"sqlite:///{mops.home}/local/dev/databases/journal/journal.sqlite")


def runner_state(mops: Mops, run_id: str) -> str:
    """What the run's runner has noted by now; a list by `mops` would ask the engine too."""
    with journal_of(mops) as journal:
        progress = journal.progress(run_id)
    assert progress is not None
    return progress.state.value


def add_algorithm(mops: Mops, name: str, **parameters: Any) -> None:
    file = mops.folder / "runtime.yaml"
    spec = yaml.safe_load(file.read_text())
    fit = spec["spec"]["algorithms"]["fit"]
    other = {**fit, "parameters": {**fit["parameters"], **parameters}}
    spec["spec"]["algorithms"][name] = other
    file.write_text(yaml.safe_dump(spec))


def test_a_paused_run_goes_on_as_if_nothing_had_been(mops: Mops, calls: Calls) -> None:
    whole = whole_run(mops, calls)
    run_half(mops, calls, "paused")
    late = mops("adaptive", "pause", "--timeout", "0.5", expect=1)
    assert "paused isn't paused after 0.5 s: it is pausing" in late.stderr
    assert run_of(mops, "paused")["state"] == "pausing"
    calls.allow()
    assert mops.json("adaptive", "pause") == {"run_id": "paused", "state": "paused"}
    ended = ended_trials(mops, "paused")
    assert 2 < ended < N_TRIALS
    mops("adaptive", "pause", "--run-id", "paused")
    run = run_of(mops, "paused")
    assert (run["state"], run["wanted"]) == ("paused", "paused")
    assert "@" in run["wanted_by"]

    # Neither a dead runner nor its healing lets it go on.
    kill_runner(mops, "paused")
    healed = mops.json("adaptive", "up", "--run-id", "paused", "--detach")
    assert "update" in healed["changes"]
    eventually(lambda: runner_state(mops, "paused") == "paused", 100)
    assert ended_trials(mops, "paused") == ended

    # The spec may have changed meanwhile: the run goes on with the plan that it has.
    mops.write_spec(n_trials=5)
    kill_runner(mops, "paused")
    assert "paused" in mops("status").stdout
    assert mops.json("adaptive", "resume")["run_id"] == "paused"
    finish(mops, calls, "paused")
    assert sequence(mops, "paused") == sequence(mops, whole)

    for command in ("pause", "resume", "cancel"):
        refused = mops("adaptive", command, "--run-id", "paused", expect=1)
        assert "has finished" in refused.stderr
        assert "mops adaptive results --run-id paused" in refused.stderr
        assert "no run 'none'" in mops("adaptive", command, "--run-id", "none", expect=4).stderr


def test_a_finished_run_is_finished_and_a_cancelled_one_can_be_resumed(
    mops: Mops, calls: Calls
) -> None:
    whole = whole_run(mops, calls)
    simulated, results = calls.count, sequence(mops, whole)
    told = mops("up")
    assert f"{whole}: finished" in told.stderr
    assert f"adaptive-dev-{whole}: 3 unchanged" in told.stderr
    mops("adaptive", "down")
    assert run_of(mops, whole)["state"] == "finished"
    assert "Finished" in mops("adaptive", "up").stderr
    assert sequence(mops, whole) == results
    assert calls.count == simulated

    run_half(mops, calls, "cancelled")
    assert mops.json("adaptive", "cancel") == {"run_id": "cancelled", "state": "cancelled"}
    assert len([row for row in sequence(mops, "cancelled") if row[3] is not None]) == 2
    mops("adaptive", "cancel", "--run-id", "cancelled")
    refused = mops("adaptive", "pause", "--run-id", "cancelled", expect=1)
    assert "was cancelled" in refused.stderr
    again = mops("adaptive", "up", "--run-id", "cancelled", expect=1)
    assert "adaptive-dev-cancelled: 3 unchanged" in again.stderr
    assert "mops adaptive resume --run-id cancelled" in again.stderr
    assert ended_trials(mops, "cancelled") == 2

    mops("adaptive", "resume", "--run-id", "cancelled")
    finish(mops, calls, "cancelled")
    assert sequence(mops, "cancelled") == sequence(mops, whole)


def test_a_run_without_its_runner_can_be_paused_and_cancelled(mops: Mops, calls: Calls) -> None:
    run_id = mops("up").stdout.strip()
    kill_runner(mops, run_id)
    assert run_of(mops, run_id)["state"] == "interrupted"
    assert mops.json("adaptive", "pause")["state"] == "paused"
    assert mops.json("adaptive", "cancel", "--no-wait")["state"] == "cancelled"
    assert {row[3] for row in sequence(mops, run_id)} == {None}
    written = mops.folder.parent / "results.parquet"
    mops("adaptive", "results", "--run-id", run_id, "--output", str(written))
    assert None not in pq.ParquetFile(written).read().column("task_id").to_pylist()
    # Its stack is healed and stays in order, and the run stays cancelled.
    told = mops("up")
    assert told.stdout.strip() == run_id
    assert f"{run_id}: cancelled" in told.stderr
    assert set(mops.json("up")["stacks"][-1]["changes"]) == {"same"}
    assert run_of(mops, run_id)["state"] == "cancelled"


def test_a_run_that_failed_for_a_cause_outside_it_can_be_cancelled(
    mops: Mops, calls: Calls
) -> None:
    run_id = mops("up").stdout.strip()
    kill_runner(mops, run_id)
    with journal_of(mops) as journal:
        now = datetime.datetime.now(datetime.UTC)
        journal.finish(run_id, RunState.FAILED, "no way to the store", now, is_settled=False)
    assert mops.json("adaptive", "cancel")["state"] == "cancelled"
    assert {row[3] for row in sequence(mops, run_id)} == {None}


def test_several_runs_at_once(mops: Mops, calls: Calls) -> None:
    add_algorithm(mops, "other", seed=8)
    both = mops("up").stdout.split()
    assert [run_id.rpartition("-")[0] for run_id in both] == ["fit", "other"]
    more = mops("adaptive", "up", "fit", "--run-id", "second", "--detach")
    assert f"Another run of fit is running: {both[0]}" in more.stderr
    assert both[1] not in more.stderr
    runs = mops.json("adaptive", "list")
    assert [(run["run_id"], run["state"]) for run in runs] == [
        (run_id, "running") for run_id in ("second", both[1], both[0])
    ]
    unclear = mops("adaptive", "pause", expect=2)
    assert all(run_id in unclear.stderr for run_id in (*both, "second"))

    mops("adaptive", "pause", "--run-id", "second", "--no-wait")
    assert mops.json("adaptive", "resume")["run_id"] == "second"
    for run_id in (*both, "second"):
        finish(mops, calls, run_id)
    assert sequence(mops, "second") == sequence(mops, both[0])
    assert sequence(mops, both[1]) != sequence(mops, both[0])

    # A run whose stack is down is known none the less.
    mops("adaptive", "down", "--run-id", "second")
    table = mops("adaptive", "list").stdout
    assert all(word in table for word in ("second", "STARTED", "DURATION", "16/16"))


def test_a_run_goes_on_when_one_detaches_and_when_the_spec_has_changed(
    mops: Mops, calls: Calls
) -> None:
    old = mops("up").stdout.strip()
    pid = runner_of(mops, old).pid
    attached = mops.start("adaptive", "up")
    assert attached.stdout is not None
    lines = iter(attached.stdout.readline, "")
    assert next(lines).strip() == old
    assert any(f"{old}: 0/16 trials" in line for line in lines)
    attached.send_signal(signal.SIGINT)
    said, _ = attached.communicate(timeout=60)
    assert attached.returncode == 130
    assert f"mops adaptive status --watch --run-id {old}" in said
    assert runner_of(mops, old).pid == pid

    mops.write_spec(n_trials=9)
    told = mops("up")
    assert told.stdout.strip() not in ("", old)
    assert f"Another run of fit is running: {old}, 0/16 trials" in told.stderr
    # To give the new plan the old run's name would end that run.
    refused = mops("adaptive", "up", "--run-id", old, expect=1)
    assert "belongs to a run of another plan; what differs: n_trials" in refused.stderr
    assert runner_of(mops, old).pid == pid


def test_a_run_that_failed_for_good_is_not_started_again(mops: Mops, calls: Calls) -> None:
    with (mops.folder / "model.py").open("a") as model:
        model.write("\n\nreally = simulate\n\n\ndef simulate(params, seed):\n")
        model.write("    really(params, seed)\n    raise ValueError('no such disease')\n")
    calls.allow()
    run_id = mops("up").stdout.strip()
    failed = mops("adaptive", "status", "--watch", expect=1)
    assert "no such disease" in failed.stderr
    for _ in range(2):
        told = mops("up")
        assert f"{run_id}: failed" in told.stderr
        assert "Another start would end in the same way" in told.stderr
    assert f"adaptive-dev-{run_id}: 3 unchanged" in told.stderr
    assert "resume" not in (mops.home / f"local/dev/logs/run-{run_id}.log").read_text()
    assert "has failed" in mops("adaptive", "resume", "--run-id", run_id, expect=1).stderr
