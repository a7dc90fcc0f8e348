import os
import subprocess
import sys
from pathlib import Path

import pytest

from modelops.core.errors import ResultStoreError, UsageError
from modelops.result_store.index import ResultIndex
from modelops.result_store.segments import Segment, encode_head, head_digest
from modelops.result_store.store import ResultStore
from unit.result_store.conftest import ENVIRONMENT, Files, ids, task_id

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounts in a namespace need root")


def index_of(url: str) -> ResultIndex:
    index = ResultIndex(url, ENVIRONMENT)
    index.refresh()
    return index


def test_what_was_written_is_found(url):
    ResultStore(url, ENVIRONMENT).write("run-1", ids("a", "b"), [True, True], b"answer")
    found = index_of(url).find(task_id("b"))
    assert (found.position, found.answer()) == (1, b"answer")


def test_a_segment_is_where_the_documentation_says(url, files):
    ResultStore(url, ENVIRONMENT).write("run-1", ids("a"), [True], b"answer")
    head = encode_head(Segment((task_id("a"),), (True,), b"answer"))
    name = f"results-store/v1/{ENVIRONMENT}/run-1/{head_digest(head).hex()}.seg"
    assert list(files) == [name]
    assert files[name] == head + b"answer"


def test_what_did_not_complete_is_not_found(url):
    ResultStore(url, ENVIRONMENT).write("run-1", ids("a", "b", "c"), [True, False, True], b"x")
    index = index_of(url)
    assert index.find(task_id("b")) is None
    assert index.find(task_id("c")).position == 2
    assert len(index) == 2


@pytest.mark.parametrize("completed", [[], [False, False]])
def test_nothing_is_written_if_none_completed(url, files, completed):
    ResultStore(url, ENVIRONMENT).write("run-1", ids(*range(len(completed))), completed, b"x")
    assert not list(files)


def test_results_of_another_environment_are_others(url):
    ResultStore(url, "aa").write("run-1", ids("a"), [True], b"answer")
    assert index_of(url).find(task_id("a")) is None


def test_the_same_twice_is_there_once(url, files):
    for _ in range(2):
        ResultStore(url, ENVIRONMENT).write("run-1", ids("a"), [True], b"answer")
    assert len(list(files)) == 1
    assert len(index_of(url)) == 1


def test_writing_again_mends_what_was_damaged(url, files):
    store = ResultStore(url, ENVIRONMENT)
    store.write("run-1", ids("a"), [True], b"answer")
    (name,) = files
    files[name] = files[name][:-1]
    store.write("run-1", ids("a"), [True], b"answer")
    assert index_of(url).find(task_id("a")).answer() == b"answer"


@pytest.mark.parametrize("spell", ["file://{}", "{}", "{}/"])
def test_a_folder_may_be_spelt_in_several_ways(tmp_path, spell):
    folder = tmp_path / "with blank"
    ResultStore(spell.format(folder), ENVIRONMENT).write("run-1", ids("a"), [True], b"answer")
    assert index_of(str(folder)).find(task_id("a")).answer() == b"answer"


def test_a_relative_path_stays_where_it_was(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = ResultStore("objects", ENVIRONMENT)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    store.write("run-1", ids("a"), [True], b"answer")
    assert index_of(str(tmp_path / "objects")).find(task_id("a"))


@pytest.mark.parametrize("environment", ["", "E0", "../e0", "e0\n", "e0/e1", "a" * 129])
def test_an_environment_is_a_hash(tmp_path, environment):
    with pytest.raises(ValueError, match="hash"):
        ResultStore(str(tmp_path), environment)
    with pytest.raises(ValueError, match="hash"):
        ResultIndex(str(tmp_path), environment)


@pytest.mark.parametrize("run_id", ["", "..", "a/b", ".hidden", "Run", "run\n"])
def test_a_run_has_a_name_that_can_be_a_folder_of_its_own(tmp_path, run_id):
    with pytest.raises(UsageError, match="run-id"):
        ResultStore(str(tmp_path), ENVIRONMENT).write(run_id, ids("a"), [True], b"")


@pytest.mark.parametrize(("task_ids", "completed"), [(bytes(31), [True]), (bytes(64), [True])])
def test_every_task_needs_its_id(tmp_path, task_ids, completed):
    with pytest.raises(ValueError, match="task"):
        ResultStore(str(tmp_path), ENVIRONMENT).write("run-1", task_ids, completed, b"")


def test_a_folder_that_is_a_file_is_an_error(tmp_path):
    (tmp_path / "objects").write_text("")
    store = ResultStore(str(tmp_path / "objects"), ENVIRONMENT)
    with pytest.raises(ResultStoreError, match=r"can't be stored in .*objects"):
        store.write("run-1", ids("a"), [True], b"")


WRITE_ONTO_A_FULL_DISK = """
import os, sys
from modelops.core.errors import ResultStoreError
from modelops.result_store.index import ResultIndex
from modelops.result_store.store import ResultStore

store = ResultStore(sys.argv[1], "e0")
store.write("run-1", bytes(32), [True], b"answer")
try:
    store.write("run-1", bytes([1]) * 32, [True], os.urandom(2**24))
except ResultStoreError as error:
    print(error)
index = ResultIndex(sys.argv[1], "e0")
index.refresh()
print(index.find(bytes(32)).answer(), index.find(bytes([1]) * 32))
print([len(files) for _, _, files in os.walk(sys.argv[1]) if files])
"""


@needs_root
def test_a_full_disk_is_said_and_leaves_nothing_behind(tmp_path):
    mount = 'mount -t tmpfs -o size=6m tmpfs "$1" && shift && exec "$@"'
    done = subprocess.run(
        [
            *("unshare", "--mount", "sh", "-c", mount, "sh", tmp_path),
            *(sys.executable, "-c", WRITE_ONTO_A_FULL_DISK, tmp_path / "objects"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines() == [
        f"Results can't be stored in {tmp_path}/objects: No space left on device.",
        "Free space there, or remove old results.",
        "b'answer' None",
        "[1]",
    ], done.stderr


WRITE_UNTIL_KILLED = """
import hashlib, itertools, sys
from modelops.result_store.store import ResultStore

store = ResultStore(sys.argv[1], "e0" * 32)
for number in itertools.count():
    task_id = hashlib.sha256(f"{sys.argv[2]} {number}".encode()).digest()
    store.write("run-1", task_id, [True], task_id * 50_000)
    print(number, flush=True)
"""


@pytest.mark.parametrize("written", [1, 2, 3, 5, 8, 13])
def test_a_killed_writer_leaves_nothing_that_reads_as_a_result(tmp_path, caplog, written):
    objects = tmp_path / "objects"
    command = [sys.executable, "-c", WRITE_UNTIL_KILLED, str(objects), "killed"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        try:
            numbers = [int(child.stdout.readline()) for _ in range(written)]
        finally:
            child.kill()
        numbers += [int(line) for line in child.stdout]
    index = index_of(str(objects))
    for number in numbers:
        id_ = task_id(f"killed {number}")
        assert index.find(id_).answer() == id_ * 50_000
    # It may have been killed between the rename and its word of it.
    assert len(index) - len(numbers) in {0, 1}
    assert not caplog.records


WRITE_THE_SAME = """
import sys
from modelops.result_store.store import ResultStore

store = ResultStore(sys.argv[1], "e0" * 32)
sys.stdin.readline()
for _ in range(10):
    for number in range(5):
        store.write("run-1", bytes([number]) * 32, [True], bytes([number]) * 100_000)
"""


def test_several_processes_write_the_same_at_once(tmp_path):
    objects = str(tmp_path / "objects")
    command = [sys.executable, "-c", WRITE_THE_SAME, objects]
    children = [subprocess.Popen(command, stdin=subprocess.PIPE) for _ in range(3)]
    try:
        for child in children:
            child.stdin.write(b"\n")
            child.stdin.flush()
        # Once a result is there it is never gone, or wrong, for a moment.
        seen = set()
        while any(child.poll() is None for child in children):
            index = index_of(objects)
            for number in range(5):
                found = index.find(bytes([number]) * 32)
                if found is not None:
                    seen.add(number)
                    assert found.answer() == bytes([number]) * 100_000
                assert (found is not None) == (number in seen)
    finally:
        for child in children:
            child.stdin.close()
            child.kill()
            child.wait()
    assert [child.returncode for child in children] == [0, 0, 0]
    assert len(list(Files(objects))) == 5
    assert all(Path(objects, name).suffix == ".seg" for name in Files(objects))
