"""What a service finds of what others have stored, also where some of it can't be read."""

import logging
import threading
from pathlib import Path

import pytest

from modelops.result_store.store import ResultStore
from modelops.services.futures import SimulationFuture
from modelops.services.stored_results import REFRESH_SECONDS, StoredResults
from modelops.worker.answer_builder import AnswerBuilder
from modelops.worker.outputs import from_ipc

ENVIRONMENT = "e0" * 32


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Owner:
    def __init__(self) -> None:
        self.condition = threading.Condition()

    def give_up(self, future: SimulationFuture) -> None:
        pass


def digest(number: int) -> bytes:
    return number.to_bytes(32)


def answer(*values: float) -> bytes:
    builder = AnswerBuilder()
    for value in values:
        builder.add_scalars({"x": value})
        builder.note(0.0, 0.0, "")
    return builder.encode()


def write(folder: Path, run_id: str, numbers: list[int], data: bytes) -> Path:
    """Store results; return their segment."""
    digests, completed = b"".join(map(digest, numbers)), [True] * len(numbers)
    before = set(folder.rglob("*.seg"))
    ResultStore(str(folder), ENVIRONMENT).write(run_id, digests, completed, data)
    (new,) = set(folder.rglob("*.seg")) - before
    return new


def found(stored: StoredResults, *numbers: int) -> list[float | None]:
    owner = Owner()
    futures = [SimulationFuture(owner, b"", digest(number)) for number in numbers]
    outcomes = list(stored.find(futures))
    assert [future for future, _ in outcomes] == futures
    values: list[float | None] = []
    for future, outcome in outcomes:
        if outcome is None:
            values.append(None)
            continue
        assert outcome.task_id == future.digest.hex()
        values.append(from_ipc(outcome.tables["output"]).to_pylist()[0]["x"])
    return values


def test_results_are_found_in_whatever_segment_they_are(tmp_path: Path) -> None:
    # More than are kept in memory.
    for number in range(0, 60, 3):
        write(tmp_path, f"run-{number}", [number, number + 1], answer(number, number + 1.0))
    stored = StoredResults(str(tmp_path), ENVIRONMENT)

    for _ in range(2):
        assert found(stored, *range(60)) == [n if n % 3 < 2 else None for n in range(60)]


def test_what_others_store_is_found_after_a_while(tmp_path: Path) -> None:
    clock = Clock()
    stored = StoredResults(str(tmp_path), ENVIRONMENT, clock)
    assert not stored.is_worth_a_look
    write(tmp_path, "run", [1], answer(1.0))
    assert found(stored, 1) == [None]

    clock.now = REFRESH_SECONDS
    assert stored.is_worth_a_look
    assert found(stored, 1) == [1.0]
    assert stored.is_worth_a_look


def test_a_listing_that_fails_later_is_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock, folder = Clock(), tmp_path / "store"
    write(folder, "run", [1], answer(1.0))
    stored = StoredResults(str(folder), ENVIRONMENT, clock)
    (folder / "results-store").rename(tmp_path / "aside")
    (folder / "results-store").symlink_to("results-store")
    clock.now = REFRESH_SECONDS

    with caplog.at_level(logging.WARNING, "modelops.services"):
        assert found(stored, 2) == [None]
        assert found(stored, 2) == [None]

    assert len(caplog.records) == 1
    assert "can't be listed" in caplog.text


@pytest.mark.parametrize("count", [1, 2, 3])
def test_one_that_cannot_be_read_hides_none_that_can(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, count: int
) -> None:
    """Which of several segments is looked at first depends on their hashes."""
    segments = [write(tmp_path, f"run-{n}", [1, 10 + n], answer(1.0, 10.0 + n)) for n in range(3)]
    for path in sorted(segments, key=lambda path: path.name)[:count]:
        path.write_bytes(path.read_bytes()[:-1])
    stored = StoredResults(str(tmp_path), ENVIRONMENT)

    with caplog.at_level(logging.WARNING, "modelops"):
        assert found(stored, 1, 1) == ([1.0, 1.0] if count < 3 else [None, None])
        told = len(caplog.records)
        assert found(stored, 1) == ([1.0] if count < 3 else [None])

    # Each is told of once.
    assert told == len(caplog.records) == count


@pytest.mark.parametrize(
    "data", [b"of another version", answer(), answer(2.0)], ids=["other", "empty", "short"]
)
def test_an_answer_that_is_none_hides_none_that_is(tmp_path: Path, data: bytes) -> None:
    numbers = [5, 6]
    write(tmp_path, "bad", numbers, data)
    assert found(StoredResults(str(tmp_path), ENVIRONMENT), 6, 5)[0] is None
    for run in range(5):
        write(tmp_path, f"good-{run}", [*numbers, 100 + run], answer(5.0, 6.0, 100.0 + run))

    stored = StoredResults(str(tmp_path), ENVIRONMENT)

    assert found(stored, 6, 6) == [6.0, 6.0]
