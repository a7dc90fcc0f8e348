import datetime
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelops.contracts import TrialStatus, UniqueParameterSet
from modelops.core.errors import JournalError, NotThereError, RunStateError
from modelops.runner import migration, schema
from modelops.runner.journal import Journal, RunState, Wanted
from modelops.runner.records import Trial, TrialOutcome, TrialRecord
from unit.runner.simulated_run import make_plan

NOW = datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.UTC)
PLAN = make_plan()


def later(seconds: float) -> datetime.datetime:
    return NOW + datetime.timedelta(seconds=seconds)


def trial(number: int, **params: bool | float | str) -> Trial:
    return Trial.planned(PLAN, UniqueParameterSet.from_dict(params or {"x": 0.5}, trial=number))


def completed(loss: float, seconds: float = 1.0) -> TrialOutcome:
    return TrialOutcome(TrialStatus.COMPLETED, loss=loss, parts={"x": loss}, seconds=seconds)


FAILED = TrialOutcome(
    TrialStatus.FAILED, reason="model", message="it raised", details="a\0b", seconds=2.0
)


@pytest.fixture
def run(journal: Journal) -> Journal:
    journal.begin("run", PLAN, NOW)
    journal.start("run", NOW)
    return journal


scalars = (
    st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), scalars, max_size=4),
    st.lists(st.integers(0, 2**64 - 1), max_size=4),
    st.floats(allow_nan=False, allow_infinity=False),
)
def test_what_is_written_is_read(
    journal: Journal, params: dict[str, bool | float | str], seeds: list[int], loss: float
) -> None:
    journal.delete("run")
    journal.begin("run", PLAN, NOW)
    asked = Trial(UniqueParameterSet.from_dict(params, trial=0), tuple(seeds))
    journal.record_ask("run", asked)
    journal.record_result("run", 0, completed(loss), NOW)
    (record,) = journal.trials("run")
    assert record == TrialRecord(asked, completed(loss), NOW)
    assert repr(dict(record.trial.parameters.params)) == repr(params)


def test_a_history_is_what_was_recorded(run: Journal, url: str) -> None:
    for number in range(3):
        run.record_ask("run", trial(number))
    run.record_result("run", 2, completed(0.1), NOW)
    run.record_result("run", 0, FAILED, NOW)
    run.close()
    with Journal.open(url) as again:
        assert again.begin("run", PLAN, later(5)) is RunState.RUNNING
        history = again.history("run")
    assert history.asked == {number: trial(number) for number in range(3)}
    assert history.ended == {0: replace(FAILED, details="a\\0b"), 2: completed(0.1)}


def test_the_same_record_twice_changes_nothing(run: Journal) -> None:
    for _ in range(2):
        run.record_ask("run", trial(0))
        run.record_result("run", 0, completed(0.5), NOW)
    run.record_result("run", 0, completed(0.5, seconds=9.0), later(9))
    assert list(run.trials("run")) == [TrialRecord(trial(0), completed(0.5), NOW)]


def test_a_contradiction_is_refused(run: Journal) -> None:
    run.record_ask("run", trial(0))
    run.record_result("run", 0, completed(0.5), NOW)
    with pytest.raises(JournalError, match=r"(?s)another result for trial 0.*--run-id"):
        run.record_result("run", 0, completed(0.6), NOW)
    with pytest.raises(JournalError, match="another result for trial 0"):
        run.record_result("run", 0, FAILED, NOW)
    with pytest.raises(JournalError, match="other parameters for trial 0"):
        run.record_ask("run", trial(0, x=0.6))
    assert list(run.trials("run")) == [TrialRecord(trial(0), completed(0.5), NOW)]


def test_a_result_needs_an_ask(run: Journal) -> None:
    with pytest.raises(JournalError, match="trial 3, which was never asked"):
        run.record_result("run", 3, completed(0.5), NOW)


def test_a_run_id_belongs_to_one_plan(run: Journal) -> None:
    assert run.begin("run", PLAN, later(1)) is RunState.RUNNING
    moved = replace(PLAN, bundle_ref=replace(PLAN.bundle_ref, host="ghcr.io"))
    assert run.begin("run", moved, later(1)) is RunState.RUNNING
    other = replace(PLAN, seed=8, options={"sampler": "tpe"})
    with pytest.raises(JournalError, match=r"(?s)'run'.*differs: seed, options.*--run-id"):
        run.begin("run", other, later(1))
    assert run.plan("run") == PLAN
    assert run.plan("none") is None


def test_states(run: Journal) -> None:
    run.finish("run", RunState.FAILED, "no workers", later(10))
    assert run.begin("run", PLAN, later(11)) is RunState.FAILED
    (failed,) = run.runs()
    assert (failed.state, failed.message, failed.finished_at) == (
        RunState.FAILED,
        "no workers",
        later(10),
    )
    run.start("run", later(20))
    (running,) = run.runs()
    assert (running.state, running.message, running.finished_at) == (RunState.RUNNING, "", None)
    assert (running.created_at, running.started_at) == (NOW, later(20))
    with pytest.raises(JournalError, match="no run 'none'"):
        run.finish("none", RunState.FINISHED, "", NOW)


def test_progress(run: Journal) -> None:
    assert run.progress("none") is None
    for number in range(6):
        run.record_ask("run", trial(number, x=number / 10))
    for number, outcome in enumerate([completed(0.5), FAILED, completed(0.2), completed(0.2)]):
        run.record_result("run", number, outcome, later(number))
    run.record_result("run", 4, replace(FAILED, status=TrialStatus.TIMEOUT), later(4))
    progress = run.progress("run", later(8))
    assert progress is not None
    assert (progress.n_trials, progress.asked, progress.completed, progress.failed) == (12, 6, 3, 2)
    assert (progress.best_loss, progress.best_trial) == (0.2, 2)
    assert progress.best_params == {"x": 0.2}
    assert progress.trials_per_second == 5 / 8
    assert (progress.run_id, progress.algorithm, progress.state) == ("run", "fit", "running")

    run.start("run", later(3))
    resumed = run.progress("run", later(5))
    assert resumed is not None
    assert resumed.trials_per_second == 2 / 2
    run.finish("run", RunState.FINISHED, "", later(4))
    finished = run.progress("run", later(1000))
    assert finished is not None
    assert finished.trials_per_second == 2 / 1


def test_progress_of_a_run_that_has_only_begun(run: Journal) -> None:
    progress = run.progress("run")
    assert progress is not None
    assert (progress.best_loss, progress.best_trial, progress.best_params) == (None, None, None)
    assert progress.trials_per_second == 0.0


def test_runs_are_listed_the_newest_first_and_deleted_alone(run: Journal) -> None:
    run.begin("newer", PLAN, later(1))
    for run_id in ("run", "newer"):
        run.record_ask(run_id, trial(0))
        run.record_result(run_id, 0, completed(0.5), NOW)
    assert [summary.run_id for summary in run.runs()] == ["newer", "run"]
    assert run.delete("run")
    assert not run.delete("run")
    assert [summary.run_id for summary in run.runs()] == ["newer"]
    assert list(run.trials("run")) == []
    assert len(list(run.trials("newer"))) == 1
    run.begin("run", replace(PLAN, seed=9), NOW)


def test_many_trials_are_read_in_order(run: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modelops.runner.journal_reading._PAGE", 4)
    for number in range(8):
        run.record_ask("run", trial(number))
    assert [record.trial.number for record in run.trials("run")] == list(range(8))


def test_others_read_while_a_runner_writes(run: Journal, url: str) -> None:
    run.record_ask("run", trial(0))
    with Journal.open(url) as reader:
        with run._database.transaction(writing=True) as connection:
            connection.exec_driver_sql("UPDATE modelops_runs SET message = 'half way'")
            (summary,) = reader.runs()
            assert summary.message == ""
            assert len(list(reader.trials("run"))) == 1
        (summary,) = reader.runs()
        assert summary.message == "half way"


def test_a_failed_transaction_leaves_nothing_behind(run: Journal) -> None:
    def fail_half_way() -> None:
        with run._database.transaction(writing=True) as connection:
            connection.exec_driver_sql("UPDATE modelops_runs SET message = 'x'")
            raise InterruptedError

    with pytest.raises(InterruptedError):
        fail_half_way()
    assert run.runs()[0].message == ""


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_the_file_is_in_wal_mode_and_enforces_its_keys(run: Journal, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "runs.db") as raw:
        assert raw.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    raw.close()
    with run._database.transaction(writing=False) as connection:
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == 30_000


def test_a_closed_journal_says_so(journal: Journal) -> None:
    journal.close()
    journal.close()
    with pytest.raises(JournalError, match="closed"):
        journal.runs()


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:hunter2@127.0.0.1:1/runs",
        "postgresql+nodriver://me:hunter2@host/runs",
        "mysql://me:hunter2@host/runs",
        "postgresql://me:hunter2@host:port/runs",
        "hunter2",
        "sqlite:////no/such/folder/runs.db",
    ],
)
def test_an_address_that_does_not_work_never_shows_its_password(
    url: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(JournalError) as caught:
        Journal.open(url)
    shown = "".join(map(str, [caught.value, caught.value.hint, *capfd.readouterr()]))
    assert "hunter2" not in shown
    assert caught.value.hint
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    path.write_text("this is a text" * 100, encoding="utf-8")
    with pytest.raises(JournalError, match=r"runs\.db can't be .*not a database"):
        Journal.open(f"sqlite:///{path}")


def state_of(journal: Journal) -> RunState:
    (summary,) = journal.runs()
    return summary.state


def test_what_is_wanted_and_what_the_runner_noted_make_the_state(run: Journal) -> None:
    (summary,) = run.runs()
    assert (summary.wanted, summary.wanted_at, summary.wanted_by) == (Wanted.RUNNING, None, None)
    assert run.want("run", Wanted.PAUSED, "ada@host", later(1)) is RunState.RUNNING
    (summary,) = run.runs()
    assert (summary.state, summary.wanted) == (RunState.PAUSING, Wanted.PAUSED)
    assert (summary.wanted_at, summary.wanted_by) == (later(1), "ada@host")
    run.pause("run")
    assert state_of(run) is RunState.PAUSED
    # Whoever wants the same after that isn't who is to be thanked.
    assert run.want("run", Wanted.PAUSED, "bob@host", later(2)) is RunState.PAUSED
    assert run.runs()[0].wanted_by == "ada@host"
    run.start("run", later(3))
    assert state_of(run) is RunState.PAUSING
    run.want("run", Wanted.RUNNING, "bob@host", later(4))
    run.resume("run", later(5))
    (summary,) = run.runs()
    assert (summary.state, summary.started_at) == (RunState.RUNNING, later(5))
    run.want("run", Wanted.CANCELLED, "bob@host", later(6))
    assert state_of(run) is RunState.CANCELLING
    for wanted in (Wanted.PAUSED, Wanted.RUNNING):
        with pytest.raises(RunStateError, match="is being cancelled"):
            run.want("run", wanted, "ada@host", later(7))
    run.finish("run", RunState.CANCELLED, "", later(8))
    assert state_of(run) is RunState.CANCELLED
    with pytest.raises(RunStateError, match="was cancelled"):
        run.want("run", Wanted.PAUSED, "ada@host", later(9))
    assert run.want("run", Wanted.CANCELLED, "ada@host", later(9)) is RunState.CANCELLED
    assert run.is_settled("run")
    run.want("run", Wanted.RUNNING, "ada@host", later(9))
    (summary,) = run.runs()
    assert (summary.state, summary.finished_at) == (RunState.RUNNING, None)
    assert not run.is_settled("run")


@pytest.mark.parametrize("wanted", list(Wanted))
def test_nothing_is_wanted_of_a_run_that_has_ended_for_good(run: Journal, wanted: Wanted) -> None:
    for state, words in ((RunState.FINISHED, "has finished"), (RunState.FAILED, "has failed")):
        run.finish("run", state, "", NOW)
        assert run.is_settled("run")
        with pytest.raises(RunStateError, match=words):
            run.want("run", wanted, "ada@host", NOW)
    with pytest.raises(NotThereError, match="no run 'none'"):
        run.want("none", wanted, "ada@host", NOW)


def test_a_run_that_failed_for_a_cause_outside_it_may_go_on(run: Journal) -> None:
    run.finish("run", RunState.FAILED, "no scheduler", NOW, is_settled=False)
    assert not run.is_settled("run")
    run.want("run", Wanted.RUNNING, "ada@host", NOW)
    with pytest.raises(RunStateError, match="has failed"):
        run.want("run", Wanted.PAUSED, "ada@host", NOW)
    assert state_of(run) is RunState.FAILED
    run.start("run", NOW)
    assert state_of(run) is RunState.RUNNING


def test_a_runner_learns_what_is_wanted_from_what_it_writes_anyway(run: Journal, url: str) -> None:
    assert run.record_ask("run", trial(0)) is Wanted.RUNNING
    with Journal.open(url) as other:
        other.want("run", Wanted.PAUSED, "ada@host", NOW)
    assert run.record_ask("run", trial(1)) is Wanted.PAUSED
    assert run.record_ask("run", trial(1)) is Wanted.PAUSED
    assert run.record_result("run", 0, completed(0.5), NOW) is Wanted.PAUSED
    assert run.record_result("run", 0, completed(0.5), NOW) is Wanted.PAUSED
    assert run.wanted("run") is Wanted.PAUSED


def test_a_plan_is_checked_without_entering_the_run(run: Journal) -> None:
    run.check_plan("run", PLAN)
    run.check_plan("none", PLAN)
    with pytest.raises(JournalError, match="differs: seed"):
        run.check_plan("run", replace(PLAN, seed=8))
    assert [summary.run_id for summary in run.runs()] == ["run"]


@pytest.fixture
def old_journal(journal: Journal, url: str) -> str:
    """A journal as it was before anything could be wanted of a run, with a run of each kind."""
    for state in (RunState.RUNNING, RunState.FINISHED, RunState.FAILED):
        journal.begin(state.value, PLAN, NOW)
        journal.finish(state.value, state, "", NOW)
    journal.close()
    engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as raw:
        for name in ("is_settled", "wanted", "wanted_at", "wanted_by"):
            raw.exec_driver_sql(f"ALTER TABLE modelops_runs DROP COLUMN {name}")
        raw.exec_driver_sql("ALTER TABLE modelops_trials DROP COLUMN told")
        raw.exec_driver_sql("ALTER TABLE modelops_results DROP COLUMN place")
        for name in ("leases", "snapshots", "version"):
            raw.exec_driver_sql(f"DROP TABLE modelops_{name}")
    engine.dispose()
    return url


def test_a_journal_that_was_made_before_opens(old_journal: str, url: str) -> None:
    with Journal.open(url) as journal:
        states = {run.run_id: (run.state, run.is_settled, run.wanted) for run in journal.runs()}
        assert states == {
            "running": (RunState.RUNNING, False, Wanted.RUNNING),
            "finished": (RunState.FINISHED, True, Wanted.RUNNING),
            "failed": (RunState.FAILED, False, Wanted.RUNNING),
        }
        journal.want("running", Wanted.PAUSED, "ada@host", NOW)
        assert journal.record_ask("running", trial(0)) is Wanted.PAUSED


def test_several_may_open_a_journal_that_was_made_before_at_once(
    old_journal: str, url: str
) -> None:
    count = 8
    all_there = threading.Barrier(count)

    def look(_number: int) -> int:
        all_there.wait(30)
        with Journal.open(url) as journal:
            return len(journal.runs())

    with ThreadPoolExecutor(count) as threads:
        assert list(threads.map(look, range(count))) == [3] * count


def test_a_journal_that_was_brought_up_has_the_same_tables_as_a_new_one(
    old_journal: str, url: str
) -> None:
    with Journal.open(url) as journal, journal._database.transaction(writing=False) as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "version_table": migration.VERSION_TABLE}
        )
        assert compare_metadata(context, schema.metadata) == []


def test_the_version_is_that_of_the_last_step() -> None:
    steps = ScriptDirectory.from_config(migration.alembic_config())
    assert steps.get_current_head() == migration.VERSION


def test_a_journal_of_a_newer_version_is_refused_and_stays_as_it_is(
    journal: Journal, url: str
) -> None:
    with journal._database.transaction(writing=True) as connection:
        connection.exec_driver_sql(f"UPDATE {migration.VERSION_TABLE} SET version_num = '9999'")
    with pytest.raises(JournalError, match=r"(?s)a newer version.*9999.*Install that version"):
        Journal.open(url)
    assert journal.runs() == []
