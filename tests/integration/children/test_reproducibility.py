import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from modelops.bundles.suspects import find_suspects
from modelops.contracts import SimTask
from modelops.core.errors import BundleFileError
from modelops.worker.conditions import CONDITIONS, Condition
from modelops.worker.reproducibility import Report, check_model

MakeTask = Callable[..., SimTask]

# A check starts a dozen processes and more.
pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

MODEL = """
import os, random, time

LOG = os.path.join(os.path.dirname(__file__), "log.txt")
CALLS = []
WORDS = {"susceptible", "exposed", "infected", "recovered", "dead"}

def unsound(params, seed):
    print("printed")
    CALLS.append(seed)
    with open(LOG, "a+") as log:
        log.write("x")
    log_size = os.path.getsize(LOG)
    thread = os.environ["OMP_NUM_THREADS"]
    sums = {"s": [0.1, 0.2 + 0.3 * (thread == "1")]}
    return {
        "sound": {"x": [random.Random(seed).random(), float("nan")]},
        "chance": {"x": [random.random(), 1.0], "y": [0, 0]},
        "address": {"x": [id(object())]},
        "clock": {"x": [time.time_ns()]},
        "hashes": {"x": [hash(word) for word in sorted(WORDS)]},
        "words": {"x": list(WORDS)},
        "place": {"x": [__file__]},
        "threads": sums,
        "columns": {"x": [1]} if thread == "1" else {"y": [1]},
        "rows": {"x": [1] * int(thread)},
        "types": {"x": [1 if thread == "1" else 1.0]},
        "zeros": {"x": [0.0 if thread == "1" else -0.0]},
        "zone": {"x": [time.localtime().tm_yday]},
        "calls": {"x": [len(CALLS)]},
        "log": {"x": [log_size]},
    }

def raises(params, seed):
    if os.environ["OMP_NUM_THREADS"] != "1":
        raise ValueError("one thread only")
    return {"x": 1}

def always_raises(params, seed):
    raise ValueError(f"no {params['a']} at {os.path.dirname(__file__)} in {object()}")

def hangs(params, seed):
    if params["a"] == 2 or os.environ["OMP_NUM_THREADS"] != "1":
        time.sleep(600)
    return {"x": 1}

def third_time(params, seed):
    with open(params["file"], "a+") as file:
        file.write("x")
    return {"x": os.path.getsize(params["file"]) == 3}
"""


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checked")
    (folder / "model.py").write_text(MODEL)
    return folder


@pytest.fixture(autouse=True)
def _nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    # Below pytest's own, so that a process that is left behind is found as well.
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    yield
    assert not list(tmp_path.glob("mops-check-*"))


def _named(*names: str) -> list[Condition]:
    return [condition for condition in CONDITIONS if condition.name in names]


def _fields(report: Report, name: str) -> set[tuple[str | None, str | None]]:
    (verdict,) = (item for item in report.verdicts if item.condition.name == name)
    return {(item.difference.table, item.difference.column) for item in verdict.findings}


def _tables(report: Report, name: str) -> set[str | None]:
    return {table for table, _ in _fields(report, name)}


def test_what_differs_is_told_under_the_condition_that_it_depends_on(
    model_dir: Path, make_task: MakeTask
) -> None:
    # All in one check, since each condition costs two processes.
    tasks = [make_task("unsound", a=a) for a in (1, 2)]
    report = check_model(model_dir, tasks, timeout=60)

    found = {item.condition.name: _tables(report, item.condition.name) for item in report.verdicts}
    # Whether a set has another order in bytecode is up to the version of Python.
    assert found.pop("bytecode") in ({"words"}, set())
    assert found == {
        "again": {"chance", "address", "clock"},
        "hash-seed": {"hashes", "words"},
        "directory": {"place"},
        "threads": {"threads", "columns", "rows", "types", "zeros"},
        "time-zone": {"zone"},
        "order": {"calls", "log"},
        "warm": {"calls", "log"},
        "files": {"log"},
    }
    assert not report.is_same
    assert report.compared == tuple(tasks)
    assert report.touched == ("log.txt",)
    assert ("chance", "x") in _fields(report, "again")
    assert ("chance", "y") not in _fields(report, "again")
    (threads,) = (item for item in report.verdicts if item.condition.name == "threads")
    sums = next(item for item in threads.findings if item.difference.table == "threads")
    assert (sums.task, sums.difference.column, sums.difference.row) == (tasks[0], "s", 1)
    assert (sums.difference.n_differing, sums.difference.n_rows) == (1, 2)
    assert (sums.difference.expected, sums.difference.found) == ("0.5", "0.2")
    assert sums.difference.largest_absolute == pytest.approx(0.3)
    # It's copies that ran.
    assert [path.name for path in model_dir.iterdir()] == ["model.py"]


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("again", '"chance": {"x": [random.random(), 1.0], "y": [0, 0]},'),
        ("hash-seed", '"words": {"x": list(WORDS)},'),
        ("directory", '"place": {"x": [__file__]},'),
        ("threads", 'thread = os.environ["OMP_NUM_THREADS"]'),
        ("time-zone", '"zone": {"x": [time.localtime().tm_yday]},'),
        ("order", "CALLS.append(seed)"),
        ("files", 'with open(LOG, "a+") as log:'),
    ],
)
def test_the_code_to_look_at_is_found(model_dir: Path, name: str, code: str) -> None:
    (condition,) = _named(name)
    found = [item for item in find_suspects(model_dir) if item.source in condition.sources]

    assert code in [item.code for item in found]


def test_a_failure_is_an_outcome_like_any_other(model_dir: Path, make_task: MakeTask) -> None:
    sometimes, always = make_task("raises"), make_task("always_raises", a=1)
    seen: list[tuple[str | None, str]] = []
    report = check_model(
        model_dir,
        [sometimes, always],
        _named("threads", "directory"),
        timeout=60,
        progress=lambda condition, setting: seen.append(
            (condition.name if condition else None, setting.words)
        ),
    )

    assert [name for name, _ in seen] == [None, "again", "directory", "threads", "threads"]
    assert "OMP_NUM_THREADS" in seen[-1][1]
    assert [item.condition.name for item in report.verdicts] == ["again", "directory", "threads"]
    (finding,) = report.verdicts[2].findings
    assert finding.task == sometimes
    assert finding.difference.expected == "a result"
    assert finding.difference.found == "a failure (model): ValueError: one thread only"
    ((failed, failure),) = report.failed
    assert failed == always
    assert report.has_result
    # The same error wherever the bundle is, with another address in it.
    assert report.verdicts[1].findings == ()
    assert "no 1 at . in <object" in failure.message


def test_simulations_that_hang_are_ended(model_dir: Path, make_task: MakeTask) -> None:
    tasks = [make_task("hangs", a=a) for a in (1, 2)]
    report = check_model(model_dir, tasks, _named("threads"), timeout=2)

    assert report.late == (tasks[1],)
    assert report.compared == (tasks[0],)
    (finding,) = report.verdicts[1].findings
    assert finding.difference.found == "a failure (timeout): it took longer than 2 s"


def test_what_happens_once_is_chance_and_not_the_conditions(
    model_dir: Path, make_task: MakeTask, tmp_path: Path
) -> None:
    task = make_task("third_time", file=str(tmp_path / "count"))
    # The third process is the first with other threads.
    report = check_model(model_dir, [task], _named("threads"), timeout=60)

    assert _fields(report, "again") == {("output", "x")}
    assert _fields(report, "threads") == set()


def test_a_module_that_cannot_be_imported_is_the_bundles_fault(
    model_dir: Path, make_task: MakeTask
) -> None:
    with pytest.raises(BundleFileError, match="'model:absent' doesn't exist"):
        check_model(model_dir, [make_task("absent")], timeout=60)
