import os
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelops.core.errors import ResultStoreError
from modelops.result_store.index import ResultIndex
from modelops.result_store.store import ResultStore
from unit.result_store.conftest import ENVIRONMENT, ids, task_id


@pytest.fixture
def store(url) -> ResultStore:
    return ResultStore(url, ENVIRONMENT)


@pytest.fixture
def index(url) -> ResultIndex:
    return ResultIndex(url, ENVIRONMENT)


def test_a_store_that_is_not_there_yet_has_no_results(index):
    index.refresh()
    assert index.find(task_id("a")) is None
    assert len(index) == 0


def test_new_segments_are_learnt_by_a_refresh(store, index):
    store.write("run-1", ids("a"), [True], b"one")
    index.refresh()
    store.write("run-2", ids("b"), [True], b"two")
    assert index.find(task_id("b")) is None
    index.refresh()
    assert index.find(task_id("a")).answer() == b"one"
    assert index.find(task_id("b")).answer() == b"two"


def test_nothing_is_found_any_more_in_what_is_passed_over(store, index):
    store.write("run-1", ids("a"), [True], b"one")
    store.write("run-1", ids("a", "b"), [True, True], b"both")
    index.refresh()
    first = index.find(task_id("a"))
    index.pass_over(first.segment)
    second = index.find(task_id("a"))
    assert {first.answer(), second.answer()} == {b"one", b"both"}
    index.pass_over(second.segment)
    index.refresh()
    assert index.find(task_id("a")) is None
    with pytest.raises(ValueError, match="isn't a segment"):
        index.pass_over("elsewhere")


def test_known_segments_are_not_read_again(store, index, files, caplog):
    store.write("run-1", ids("a"), [True], b"one")
    index.refresh()
    (name,) = files
    files[name] = b"not a segment any more"
    index.refresh()
    assert index.find(task_id("a")) is not None
    assert not caplog.records


def test_segments_that_are_gone_are_forgotten_by_a_refresh(store, index, files):
    for number in range(4):
        store.write(f"run-{number}", ids(number, "all"), [True, True], b"answer %d" % number)
    index.refresh()
    gone = [name for name in files if "/run-1/" in name or "/run-2/" in name]
    for name in gone:
        del files[name]
    store.write("run-4", ids(4, "all"), [True, True], b"answer 4")
    index.refresh()
    assert [index.find(task_id(number)) is not None for number in range(5)] == [
        *(True, False, False, True, True)
    ]
    for number in (0, 3, 4):
        assert index.find(task_id(number)).answer() == b"answer %d" % number
    assert len(index) == 6


@pytest.mark.parametrize("many", [507, 508, 509, 20_000])
def test_heads_of_any_length_are_read(store, index, many):
    store.write("run-1", ids(*range(many)), [True] * many, b"answer")
    index.refresh()
    for number in (0, 1, many // 2, many - 1):
        assert index.find(task_id(number)).position == number


def test_results_of_a_chunk_share_one_read(store, index, files):
    store.write("run-1", ids("a", "b"), [True, True], b"answer")
    index.refresh()
    assert index.find(task_id("a")).answer() == b"answer"
    (name,) = files
    del files[name]
    found = index.find(task_id("b"))
    assert found.answer() == b"answer"
    assert index.read(found.segment) == b"answer"


def test_old_answers_make_room(store, index, files):
    for number in range(20):
        store.write("run-1", ids(number), [True], b"answer")
    index.refresh()
    found = [index.find(task_id(number)) for number in range(20)]
    assert all(result.answer() for result in found)
    for name in list(files):
        del files[name]
    assert found[19].answer() == b"answer"
    assert found[0].answer() is None


def test_a_segment_that_is_gone_is_simulated_again(store, index, files, caplog):
    store.write("run-1", ids("a", "b"), [True, True], b"answer")
    index.refresh()
    (name,) = files
    whole = files[name]
    del files[name]
    assert index.find(task_id("a")).answer() is None
    assert index.find(task_id("b")) is None
    assert "is gone" in caplog.text
    files[name] = whole
    index.refresh()
    assert index.find(task_id("b")).answer() == b"answer"


def test_of_several_results_a_good_one_is_found(store, index, files, caplog):
    for number in range(3):
        store.write("run-1", ids("a"), [True], b"answer %d" % number)
    index.refresh()
    for _ in range(2):
        name = index.find(task_id("a")).segment
        path = f"results-store/v1/{name}"
        files[path] = files[path] + b"!"
        assert index.find(task_id("a")).answer() is None
    assert index.find(task_id("a")).answer().startswith(b"answer")
    assert caplog.text.count("is damaged") == 2


def test_whoever_knows_the_same_segments_finds_the_same(store, index, url):
    for number in range(5):
        store.write(f"run-{number}", ids("a"), [True], b"answer %d" % number)
        index.refresh()
    other = ResultIndex(url, ENVIRONMENT)
    other.refresh()
    assert index.find(task_id("a")) == other.find(task_id("a"))


def test_the_same_segment_in_two_runs_outlives_one_of_them(store, index, files):
    for run_id in ("run-1", "run-2"):
        store.write(run_id, ids("a"), [True], b"answer")
    index.refresh()
    del files[f"results-store/v1/{index.find(task_id('a')).segment}"]
    assert index.find(task_id("a")).answer() is None
    assert index.find(task_id("a")).answer() == b"answer"


@given(st.data())
def test_no_damage_gives_a_wrong_answer(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("objects")
    ResultStore(str(folder), ENVIRONMENT).write("run-1", ids("a", "b"), [True, False], b"answer")
    (path,) = folder.rglob("*.seg")
    whole = path.read_bytes()
    before, after = (ResultIndex(str(folder), ENVIRONMENT) for _ in range(2))
    before.refresh()
    at = data.draw(st.integers(0, len(whole) - 1))
    if data.draw(st.booleans()):
        path.write_bytes(whole[:at])
    else:
        flipped = bytes([whole[at] ^ data.draw(st.integers(1, 255))])
        path.write_bytes(whole[:at] + flipped + whole[at + 1 :])
    after.refresh()
    for index in (before, after):
        found = index.find(task_id("a"))
        assert found is None or found.answer() is None
        index.refresh()
        assert index.find(task_id("a")) is None
        assert index.find(task_id("b")) is None


@pytest.mark.parametrize(
    "name",
    [
        "results-store/v1/{e}/run-1/{d}.SEG",
        "results-store/v1/{e}/run-1/.{d}.seg.0123456789abcdef0123456789abcdef",
        "results-store/v1/{e}/run-1/deeper/{d}.seg",
        "results-store/v1/{e}/{d}.seg",
        "results-store/v1/{e}/Not A Run/{d}.seg",
        "results-store/v2/{e}/run-1/{d}.seg",
    ],
)
def test_other_files_are_passed_over(store, index, files, name, caplog):
    store.write("run-1", ids("a"), [True], b"answer")
    (there,) = files
    data = files[there]
    del files[there]
    other = name.format(e=ENVIRONMENT, d=there[-68:-4])
    files[other] = data
    index.refresh()
    assert len(index) == 0
    assert not caplog.records


def test_a_store_that_cannot_be_listed_is_an_error_and_forgets_nothing(tmp_path):
    root = tmp_path / "results-store/v1"
    ResultStore(str(tmp_path), ENVIRONMENT).write("run-1", ids("a"), [True], b"answer")
    index = ResultIndex(str(tmp_path), ENVIRONMENT)
    index.refresh()
    (root / ENVIRONMENT).rename(root / "kept")
    (root / ENVIRONMENT).symlink_to(root / ENVIRONMENT)
    with pytest.raises(ResultStoreError, match="can't be listed"):
        index.refresh()
    (root / ENVIRONMENT).unlink()
    (root / "kept").rename(root / ENVIRONMENT)
    assert index.find(task_id("a")).answer() == b"answer"


@pytest.mark.parametrize("is_known", [True, False])
def test_a_file_that_cannot_be_read_is_simulated_again(tmp_path, caplog, is_known):
    ResultStore(str(tmp_path), ENVIRONMENT).write("run-1", ids("a"), [True], b"answer")
    index = ResultIndex(str(tmp_path), ENVIRONMENT)
    if is_known:
        index.refresh()
    (segment,) = tmp_path.rglob("*.seg")
    whole = segment.read_bytes()
    segment.unlink()
    segment.mkdir()
    index.refresh()
    found = index.find(task_id("a"))
    assert found.answer() is None if is_known else found is None
    assert "can't be read" in caplog.text
    segment.rmdir()
    segment.write_bytes(whole)
    index.refresh()
    assert index.find(task_id("a")).answer() == b"answer"


@pytest.mark.parametrize("data", [b"", b"MOPSSEG1", bytes(20_000), b"MOPSSEG1\0\1" + bytes(20_000)])
def test_what_is_no_segment_is_passed_over_with_one_warning(index, files, caplog, data):
    files[f"results-store/v1/{ENVIRONMENT}/run-1/{'0' * 64}.seg"] = data
    index.refresh()
    index.refresh()
    assert len(index) == 0
    assert caplog.text.count("is damaged") == 1


def test_threads_share_an_index(store, index):
    def write_and_find(thread):
        for number in range(20):
            name = f"{thread} {number}"
            store.write(f"run-{thread}", ids(name), [True], name.encode())
            index.refresh()
            assert index.find(task_id(name)).answer() == name.encode()

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(write_and_find, range(4)))
    assert len(index) == 80


@pytest.mark.parametrize("segment", ["", "x", "../../../etc/passwd"])
def test_only_segments_are_read(index, segment):
    with pytest.raises(ValueError, match="segment"):
        index.read(segment)


def test_two_hundred_thousand_results_take_little_memory(tmp_path):
    store = ResultStore(str(tmp_path), ENVIRONMENT)
    for _ in range(100):
        store.write("run-1", os.urandom(32 * 2000), [True] * 2000, b"answer")
    index = ResultIndex(str(tmp_path), ENVIRONMENT)
    tracemalloc.start()
    try:
        index.refresh()
        kept, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(index) == 200_000
    assert kept < 60 * 200_000
    assert most < 40 * 10**6


def test_segments_of_one_result_take_little_memory(tmp_path):
    store = ResultStore(str(tmp_path), ENVIRONMENT)
    for number in range(1000):
        store.write("run-1", ids(number), [True], b"answer")
    index = ResultIndex(str(tmp_path), ENVIRONMENT)
    tracemalloc.start()
    try:
        index.refresh()
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(index) == 1000
    assert kept < 150 * 1000
