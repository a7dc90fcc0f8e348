"""Journals on PostgreSQL, ours and one that is there already, through the whole chain."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import psycopg
import pytest

from conftest import has_ended, processes_below
from integration.machine import files_with
from modelops.contracts import TrialStatus
from modelops.runner.journal import Journal, RunState
from postgres_process import PostgresProcess

if TYPE_CHECKING:
    from integration.conftest import Mops

# Each call of mops is an engine operation or more, a second or two each on an idle machine.
pytestmark = [pytest.mark.integration, pytest.mark.e2e, pytest.mark.timeout(420)]

POSTGRES = {"journal": {"engine": "postgres"}}
SECONDS = 60.0
"""How long anything may take before a test fails."""

# Each simulation says that it has begun, and waits until it's let through.
GATED = """\
import socket


def simulate(params, seed):
    with socket.create_connection(("127.0.0.1", {port})) as gate:
        gate.recv(1)
    return {{"x": range(5), "y": [params["slope"] * x for x in range(5)]}}
"""


def url_of(mops: Mops) -> str:
    ref = mops.json("infra", "outputs")["secrets"]["DATABASE_URL_JOURNAL"]
    assert ref["kind"] == "file"
    path = Path(ref["name"])
    assert path.stat().st_mode & 0o777 == 0o600
    assert mops.home / "secrets" in path.parents
    return path.read_text()


def password_of(url: str) -> str:
    found = re.fullmatch(r"postgresql://modelops:(\w{32})@127\.0\.0\.1:\d+/modelops", url)
    assert found, "the URL is of another form"
    return found[1]


def server_of(mops: Mops) -> dict[str, Any]:
    resource: dict[str, Any] = mops.json("infra", "status")["resources"]["database-journal"]
    return resource


def test_a_run_is_kept_on_postgres_and_found_after_a_down(mops_with_postgres: Mops) -> None:
    mops = mops_with_postgres
    up = mops("up")
    run_id = up.stdout.strip()
    watched = mops("adaptive", "status", "--watch")
    url = url_of(mops)
    password = password_of(url)
    with Journal.open(url) as journal:
        (run,) = journal.runs()
        assert (run.run_id, run.state, run.completed) == (run_id, RunState.FINISHED, 8)
    results = mops.json("adaptive", "results")
    assert len(results) == 8

    parts = {part["part"]: part for part in mops.json("infra", "status", "--exit-code")["parts"]}
    assert parts["database-journal"]["state"] == "healthy"
    assert "ready to accept connections" in mops("infra", "logs", "database-journal").stdout

    outputs = mops("infra", "outputs")
    assert "database-journal: postgresql://127.0.0.1:" in outputs.stdout
    again = mops("infra", "up", "--json")
    assert set(json.loads(again.stdout)["changes"]) == {"same"}
    assert url_of(mops) == url

    said = [up, watched, outputs, again, mops("status", "--json")]
    said += [mops("infra", "status", "--json"), mops("adaptive", "logs")]
    assert not [done.args for done in said if password in done.stdout + done.stderr]
    assert files_with(mops.home, password) == []
    for process in psutil.process_iter(["cmdline"]):
        assert password not in " ".join(process.info["cmdline"] or ())

    mops("down")
    assert processes_below(mops.home.resolve()) == []
    mops("up")
    # Another port and another password, and the data of before.
    assert password_of(url_of(mops)) != password
    (listed,) = mops.json("adaptive", "list")
    assert (listed["run_id"], listed["state"]) == (run_id, "finished")
    assert mops.json("adaptive", "results") == results

    mops("down", "--delete-data", "--yes")
    assert processes_below(mops.home.resolve()) == []
    assert not (mops.home / "local" / "dev").exists()
    assert [path for path in (mops.home / "secrets").rglob("*") if path.is_file()] == []


@contextmanager
def watching(mops: Mops) -> Iterator[None]:
    """Follow the run from before the block to the run's end, which must be a good one."""
    watch = mops.start("adaptive", "status", "--watch")
    try:
        assert watch.stdout is not None
        first = watch.stdout.readline()
        assert "trials" in first
        yield
        rest, _ = watch.communicate(timeout=SECONDS)
        assert watch.returncode == 0, rest
        assert "mops infra up" in rest
        assert "Traceback" not in rest
    finally:
        watch.kill()
        watch.wait()


def test_a_run_outlives_its_database(mops_with_postgres: Mops) -> None:
    mops = mops_with_postgres
    with socket.create_server(("127.0.0.1", 0)) as gate, ExitStack() as stack:
        gate.settimeout(SECONDS)
        mops.write_model(GATED.format(port=gate.getsockname()[1]))
        mops.write_spec(databases=POSTGRES, n_trials=6, n_parallel=2, replicates=1)
        run_id = mops("up").stdout.strip()
        for _ in range(3):
            gate.accept()[0].close()
        waiting, _ = gate.accept()
        stack.enter_context(watching(mops))

        url, before = url_of(mops), server_of(mops)
        family = psutil.Process(before["pid"]).children(recursive=True)
        os.kill(before["pid"], signal.SIGKILL)
        # The runner gets a result and has nowhere to put it.
        waiting.close()
        log = mops.home / "local" / "dev" / "logs" / f"run-{run_id}.log"
        deadline = time.monotonic() + SECONDS
        while "journal_lost" not in log.read_text():
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        assert server_of(mops)["alive"] is False
        assert "dead" in mops("infra", "status", "--exit-code", expect=3).stdout

        mops("infra", "up")
        after = server_of(mops)
        assert after["pid"] != before["pid"]
        assert after["ports"] == before["ports"]
        assert url_of(mops) == url
        assert not [process for process in family if not has_ended(process)]
        for _ in range(2):
            gate.accept()[0].close()
    with Journal.open(url) as journal:
        records = list(journal.trials(run_id))
        assert [record.trial.number for record in records] == list(range(6))
        assert {record.outcome.status for record in records if record.outcome} == {
            TrialStatus.COMPLETED
        }
    assert len(mops.json("adaptive", "results")) == 6
    assert "journal_back" in log.read_text()
    assert password_of(url) not in log.read_text()


def test_an_external_database_is_used_and_left_alone(
    mops: Mops, postgres_server: PostgresProcess, postgres_url: str
) -> None:
    mops.write_spec(
        databases={"journal": {"engine": "postgres", "external": {"urlFrom": "team-database"}}}
    )
    mops("registry", "up")
    missing = mops("infra", "up", expect=4)
    assert "mops secrets set team-database" in missing.stderr
    assert "Traceback" not in missing.stderr

    secret = mops.home / "secrets" / "dev" / "team-database"
    secret.parent.mkdir(parents=True)
    secret.write_text("sqlite:///elsewhere.db")
    assert "says engine: postgres" in mops("infra", "up", expect=1).stderr
    secret.write_text(f"{postgres_url}\n")
    mops("up")
    mops("adaptive", "status", "--watch")
    assert len(mops.json("adaptive", "results")) == 8
    assert files_with(mops.home, f":{postgres_server.password}@") == []
    assert not (mops.home / "local" / "dev" / "databases").exists()

    mops("down", "--delete-data", "--yes")
    with psycopg.connect(postgres_url) as connection:
        assert connection.execute("SELECT count(*) FROM modelops_runs").fetchone() == (1,)
    assert secret.exists()


def test_a_database_that_was_added_later_is_asked_for(mops: Mops) -> None:
    mops("registry", "up")
    mops("infra", "up")
    mops("workspace", "up")
    mops.write_spec(databases={"other": {"engine": "sqlite"}})
    done = mops("adaptive", "up", "--detach", expect=1)
    assert "DATABASE_URL_OTHER" in done.stderr
    assert "mops up" in done.stderr
    assert "Traceback" not in done.stderr
