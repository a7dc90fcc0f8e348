"""Our program that runs PostgreSQL, and a journal whose PostgreSQL goes away and comes back."""

from __future__ import annotations

import datetime
import os
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator

import psutil
import psycopg
import pytest

from modelops.contracts import UniqueParameterSet
from modelops.core.errors import JournalError
from modelops.providers.local.postgres.account import server_account
from modelops.runner.database import JournalLostError, Patience
from modelops.runner.journal import Journal
from modelops.runner.records import Trial
from postgres_process import PostgresProcess, postgres_process
from unit.runner.simulated_run import make_plan

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

PLAN = make_plan()
NOW = datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.UTC)
SECONDS = 45.0
"""How long anything may take before a test fails."""


@pytest.fixture(scope="module")
def shared() -> Iterator[PostgresProcess]:
    with postgres_process() as process:
        yield process


@pytest.fixture
def server(shared: PostgresProcess) -> PostgresProcess:
    """A PostgreSQL that runs; its data folder is made once for all tests."""
    if not shared.is_running:
        shared.start()
    return shared


@pytest.fixture
def url(server: PostgresProcess) -> str:
    return server.new_database(f"test_{uuid.uuid4().hex}")


@pytest.fixture
def new_server() -> Iterator[PostgresProcess]:
    """A PostgreSQL without a data folder, not started yet."""
    with postgres_process() as process:
        yield process


def trial(number: int) -> Trial:
    return Trial.planned(PLAN, UniqueParameterSet.from_dict({"x": 0.5}, trial=number))


def refusal(server: PostgresProcess) -> str:
    """Start a server that must refuse to; return what it said."""
    keeper = server.launch()
    keeper.wait(SECONDS)
    server.stop()
    return server.log.read_text()


def test_the_server_is_the_process_that_was_started(server: PostgresProcess) -> None:
    process = psutil.Process(server.pid)
    assert process.name() == "postgres"
    account = server_account()
    assert process.uids().real == (os.getuid() if account is None else account.uid)
    listening = {(at.laddr.ip, at.laddr.port) for at in process.net_connections("inet")}
    assert listening == {("127.0.0.1", server.port)}
    assert process.net_connections("unix") == []
    with psycopg.connect(server.url) as connection:
        assert connection.execute("SHOW fsync").fetchone() == ("on",)
        (kept,) = connection.execute("SELECT rolpassword FROM pg_authid WHERE oid = 10").fetchone()
    assert kept.startswith("SCRAM-SHA-256$")
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(server.url.replace(server.password, "wrong"))
    assert server.password not in server.log.read_text()
    assert server.password not in " ".join(process.cmdline() + list(process.environ().values()))


def test_a_kill_while_the_data_folder_is_made_leaves_no_half_of_it(
    new_server: PostgresProcess,
) -> None:
    draft = new_server.folder / "database" / "postgres.draft"
    new_server.launch()
    deadline = time.monotonic() + SECONDS
    while not (draft / "base").exists():
        assert time.monotonic() < deadline
        time.sleep(0.005)
    children = psutil.Process(new_server.pid).children(recursive=True)
    for process in [psutil.Process(new_server.pid), *children]:
        process.kill()
    new_server.stop()
    assert not (new_server.folder / "database" / "postgres").exists()
    new_server.start()
    assert not draft.exists()
    assert sorted(path.name for path in draft.parent.iterdir()) == ["postgres"]


def test_data_outlive_a_kill_and_another_password(server: PostgresProcess) -> None:
    with psycopg.connect(server.url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS number")
    old = server.url
    server.kill()
    server.password = "another"
    server.start()
    with psycopg.connect(server.url) as connection:
        assert connection.execute("SELECT number FROM kept").fetchone() == (7,)
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(old)
    assert server.password not in server.log.read_text()


def test_the_pid_of_a_killed_server_may_be_another_programs(server: PostgresProcess) -> None:
    server.kill()
    account = server_account()
    as_user = {} if account is None else account.popen_arguments()
    noted = server.folder / "database" / "postgres" / "postmaster.pid"
    with subprocess.Popen(["sleep", "60"], **as_user) as other:
        try:
            noted.write_text(noted.read_text().replace(str(server.pid), str(other.pid), 1))
            server.start()
        finally:
            other.kill()


def test_data_that_are_in_use_are_left_alone(server: PostgresProcess) -> None:
    second = PostgresProcess(server.folder)
    second.log = server.folder / "second.txt"
    said = refusal(second)
    assert "in use by another PostgreSQL" in said
    assert str(server.pid) in said
    psycopg.connect(server.url).close()


def test_data_of_another_version_are_refused(server: PostgresProcess) -> None:
    server.stop()
    version = server.folder / "database" / "postgres" / "PG_VERSION"
    installed = version.read_text()
    version.write_text("9\n")
    said = refusal(server)
    assert "written by PostgreSQL 9, and what is installed is PostgreSQL" in said
    assert "pg_dumpall" in said
    assert "Traceback" not in said
    version.write_text(installed)
    server.start()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs PostgreSQL as another user")
def test_a_home_that_the_other_user_cannot_reach_is_left_as_it_is(
    new_server: PostgresProcess,
) -> None:
    new_server.folder.chmod(0o700)
    home = new_server.folder / "home"
    home.mkdir(mode=0o700)
    new_server.folder, new_server.log = home, home / "log.txt"
    said = refusal(new_server)
    assert f"can't enter {home.parent}." in said
    assert "Set MODELOPS_HOME" in said
    assert home.stat().st_mode & 0o777 == 0o700
    assert home.parent.stat().st_mode & 0o777 == 0o700


def test_a_journal_goes_on_after_its_database_was_killed(server: PostgresProcess, url: str) -> None:
    lost, back = threading.Event(), threading.Event()
    patience = Patience(SECONDS, on_lost=lambda _reason, _seconds: lost.set(), on_back=back.set)

    def heal() -> None:
        assert lost.wait(SECONDS)
        server.start()

    with Journal.open(url, patience) as journal:
        journal.begin("run", PLAN, NOW)
        journal.record_ask("run", trial(0))
        for number in (1, 2):
            server.kill()
            healer = threading.Thread(target=heal)
            healer.start()
            journal.record_ask("run", trial(number))
            healer.join()
            assert back.is_set()
            lost.clear()
            back.clear()
        assert list(journal.history("run").asked) == [0, 1, 2]


def test_the_first_connection_is_waited_for_too(server: PostgresProcess, url: str) -> None:
    lost, back = threading.Event(), threading.Event()
    patience = Patience(SECONDS, on_lost=lambda _reason, _seconds: lost.set(), on_back=back.set)
    server.kill()

    def heal() -> None:
        assert lost.wait(SECONDS)
        server.start()

    healer = threading.Thread(target=heal)
    healer.start()
    with Journal.open(url, patience) as journal:
        healer.join()
        assert back.is_set()
        assert journal.runs() == []


def test_a_first_connection_that_never_comes_is_not_waited_for_for_long(
    server: PostgresProcess, url: str
) -> None:
    server.kill()
    with pytest.raises(JournalLostError, match="can't be reached") as at_once:
        Journal.open(url)
    assert "Tried for" not in str(at_once.value)
    with pytest.raises(JournalLostError, match=r"(?s)can't be reached.*Tried for 1 s"):
        Journal.open(url, Patience(1.0))


def test_a_first_connection_that_is_refused_is_not_waited_for(url: str) -> None:
    lost: list[str] = []
    patience = Patience(SECONDS, on_lost=lambda reason, _seconds: lost.append(reason))
    with pytest.raises(JournalError, match=r"can't be opened.*does not exist") as caught:
        Journal.open(f"{url}_else", patience)
    assert not isinstance(caught.value, JournalLostError)
    assert lost == []


def test_a_transaction_is_done_again_from_its_beginning(server: PostgresProcess, url: str) -> None:
    with Journal.open(url, Patience(SECONDS)) as journal:
        journal.begin("run", PLAN, NOW)
        tries = []

        def work() -> int:
            with journal._database.transaction(writing=True) as connection:
                connection.exec_driver_sql("UPDATE modelops_runs SET message = message || 'x'")
                tries.append(1)
                if len(tries) == 1:
                    server.kill()
                    server.start()
                connection.exec_driver_sql("UPDATE modelops_runs SET message = message || 'y'")
            return len(tries)

        assert journal._database.lasting(work) == 2
        assert journal.runs()[0].message == "xy"


def test_patience_ends(server: PostgresProcess, url: str) -> None:
    with Journal.open(url, Patience(1.0)) as journal:
        journal.begin("run", PLAN, NOW)
        server.kill()
        with pytest.raises(JournalLostError, match=r"(?s)Tried for 1 s.*mops infra up") as caught:
            journal.runs()
        assert server.password not in str(caught.value)
        # Whoever notes the failure doesn't wait as long again.
        with pytest.raises(JournalLostError) as again:
            journal.runs()
        assert "Tried for" not in str(again.value)
        server.start()
        assert [run.run_id for run in journal.runs()] == ["run"]


def test_patience_is_over_when_the_run_is_to_end(server: PostgresProcess, url: str) -> None:
    ended = threading.Event()
    patience = Patience(600, is_over=ended.is_set, on_lost=lambda _reason, _seconds: ended.set())
    with Journal.open(url, patience) as journal:
        server.kill()
        with pytest.raises(JournalLostError, match="The run was ended"):
            journal.runs()


def test_without_patience_a_lost_connection_is_an_error_at_once(
    server: PostgresProcess, url: str
) -> None:
    with Journal.open(url) as journal:
        server.kill()
        with pytest.raises(JournalLostError, match="can't be reached"):
            journal.runs()
        server.start()
        assert journal.runs() == []


def test_readers_that_open_a_new_database_together(postgres_url: str) -> None:
    problems: list[JournalError] = []

    def read() -> None:
        try:
            with Journal.open(postgres_url) as journal:
                assert journal.runs() == []
        except JournalError as error:
            problems.append(error)

    readers = [threading.Thread(target=read) for _ in range(8)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    assert problems == []


def test_what_is_read_in_one_transaction_is_of_one_moment(postgres_url: str) -> None:
    with Journal.open(postgres_url) as journal, Journal.open(postgres_url) as writer:
        writer.begin("run", PLAN, NOW)
        with journal._database.transaction(writing=False) as connection:
            count = "SELECT count(*) FROM modelops_trials"
            assert connection.exec_driver_sql(count).scalar() == 0
            writer.record_ask("run", trial(0))
            assert connection.exec_driver_sql(count).scalar() == 0
        assert len(list(journal.trials("run"))) == 1
