import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from modelops.core.errors import ResultStoreError
from modelops.result_store.collection import Collected, collect
from modelops.result_store.index import ResultIndex
from modelops.result_store.store import ResultStore
from unit.result_store.conftest import ENVIRONMENT, ids, task_id

HOUR = timedelta(hours=1)


def now() -> datetime:
    return datetime.now(UTC)


def left(url: str, *names: str) -> list[bool]:
    index = ResultIndex(url, ENVIRONMENT)
    index.refresh()
    return [index.find(task_id(name)) is not None for name in names]


@pytest.fixture
def two_runs(url) -> str:
    store = ResultStore(url, ENVIRONMENT)
    store.write("run-1", ids("a", "b"), [True, True], b"answer")
    store.write("run-2", ids("c"), [True], b"answer")
    return url


def test_results_go_by_their_run(two_runs, files):
    sizes = [len(files[name]) for name in files if "/run-1/" in name]
    collected = collect(two_runs, older_than=None, runs={"run-1", "run-9"}, now=now())
    assert collected == Collected(1, sum(sizes))
    assert left(two_runs, "a", "b", "c") == [False, False, True]


def test_results_go_by_their_age(two_runs):
    assert collect(two_runs, older_than=HOUR, runs=None, now=now()) == Collected(0, 0)
    assert left(two_runs, "a", "c") == [True, True]
    assert collect(two_runs, older_than=HOUR, runs=None, now=now() + 2 * HOUR).segments == 2
    assert left(two_runs, "a", "c") == [False, False]


def test_age_and_run_both_have_to_fit(two_runs):
    assert collect(two_runs, older_than=HOUR, runs=["run-1"], now=now()).segments == 0
    assert collect(two_runs, older_than=HOUR, runs=["run-1"], now=now() + 2 * HOUR).segments == 1
    assert left(two_runs, "a", "c") == [False, True]


def test_writing_again_makes_young(tmp_path):
    store = ResultStore(str(tmp_path), ENVIRONMENT)
    for name in ("a", "b"):
        store.write("run-1", ids(name), [True], b"answer")
    for path in tmp_path.rglob("*.seg"):
        os.utime(path, (0, 0))
    store.write("run-1", ids("b"), [True], b"answer")
    assert collect(str(tmp_path), older_than=HOUR, runs=None, now=now()).segments == 1
    assert left(str(tmp_path), "a", "b") == [False, True]


def test_what_cannot_be_removed_is_an_error(tmp_path):
    ResultStore(str(tmp_path), ENVIRONMENT).write("run-1", ids("a"), [True], b"answer")
    (segment,) = tmp_path.rglob("*.seg")
    segment.unlink()
    segment.mkdir()
    with pytest.raises(ResultStoreError, match=f"{segment.name} can't be removed"):
        collect(str(tmp_path), older_than=None, runs=["run-1"], now=now())


def test_all_environments_are_collected(url):
    for environment in ("aa", "bb"):
        ResultStore(url, environment).write("run-1", ids("a"), [True], b"answer")
    assert collect(url, older_than=timedelta(0), runs=None, now=now() + HOUR).segments == 2


def test_it_must_be_said_what_is_to_go(two_runs):
    with pytest.raises(ValueError, match="which results"):
        collect(two_runs, older_than=None, runs=None, now=now())
    assert left(two_runs, "a", "c") == [True, True]


def test_nothing_is_collected_where_nothing_is(url):
    assert collect(url, older_than=HOUR, runs=None, now=now()) == Collected(0, 0)


def test_other_files_stay(two_runs, files):
    name = f"results-store/v1/{ENVIRONMENT}/run-1/README"
    files[name] = b"mine"
    files["runs/run-1/trials.parquet"] = b"mine"
    collect(two_runs, older_than=timedelta(0), runs=None, now=now() + HOUR)
    assert sorted(files) == [name, "runs/run-1/trials.parquet"]


def test_what_killed_writers_left_goes_when_nobody_can_be_writing_it(tmp_path):
    ResultStore(str(tmp_path), ENVIRONMENT).write("run-1", ids("a"), [True], b"answer")
    (segment,) = tmp_path.rglob("*.seg")
    draft = segment.with_name(f".{segment.name}.{'0' * 32}")
    draft.write_bytes(b"half")
    collect(str(tmp_path), older_than=10 * HOUR, runs=None, now=now())
    assert draft.exists()
    collect(str(tmp_path), older_than=10 * HOUR, runs=None, now=now() + 2 * HOUR)
    assert not draft.exists()
    assert left(str(tmp_path), "a") == [True]


def test_empty_folders_go(tmp_path):
    ResultStore(str(tmp_path), ENVIRONMENT).write("run-1", ids("a"), [True], b"answer")
    collect(str(tmp_path), older_than=None, runs=["run-1"], now=now())
    assert [path.name for path in tmp_path.rglob("*")] == ["results-store", "v1"]


WRITE_MUCH = """
import sys
from modelops.result_store.store import ResultStore

store = ResultStore(sys.argv[1], "e0" * 32)
for number in range(500):
    store.write("run-1", number.to_bytes(32, "big"), [True], number.to_bytes(32, "big") * 100)
"""


def test_collectors_and_writers_do_not_disturb_each_other(tmp_path):
    objects = str(tmp_path / "objects")
    command = [sys.executable, "-c", WRITE_MUCH, objects]
    children = [subprocess.Popen(command) for _ in range(2)]
    index = ResultIndex(objects, ENVIRONMENT)
    segments = 0
    try:
        while any(child.poll() is None for child in children):
            index.refresh()
            for number in range(0, 500, 7):
                found = index.find(number.to_bytes(32, "big"))
                assert found is None or found.answer() in {None, number.to_bytes(32, "big") * 100}
            segments += collect(objects, older_than=timedelta(0), runs=None, now=now()).segments
    finally:
        for child in children:
            child.kill()
            child.wait()
    assert [child.returncode for child in children] == [0, 0]
    segments += collect(objects, older_than=timedelta(0), runs=None, now=now()).segments
    assert 500 <= segments <= 1000
    index.refresh()
    assert len(index) == 0
