import datetime
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import psutil
import pytest

from modelops.core.errors import JournalError
from modelops.core.process_identity import ProcessIdentity
from modelops.runner.held_lease import held_lease
from modelops.runner.holder import Holder
from modelops.runner.journal import Journal, RunState
from modelops.runner.leases import Lease, LeaseHeldError, LeaseLostError
from modelops.runner.records import Trial
from unit.runner.simulated_run import ChainAlgorithm, make_plan

NOW = datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.UTC)
PLAN = make_plan()
SECONDS = 30.0


def trial(number: int) -> Trial:
    algorithm = ChainAlgorithm(number + 1)
    (parameters,) = [algorithm.ask(1) for _ in range(number + 1)][-1]
    return Trial.planned(PLAN, parameters)


@pytest.fixture
def run(journal: Journal) -> Journal:
    journal.begin("run", PLAN, NOW)
    journal.start("run", NOW)
    return journal


@pytest.fixture
def other(run: Journal, url: str) -> Iterator[Journal]:
    with Journal.open(url) as other:
        yield other


def elsewhere(holder: Holder) -> Holder:
    """The same process on another machine, so that nobody here knows whether it lives."""
    return replace(holder, host=f"not-{holder.host}")


@pytest.fixture
def dead() -> Holder:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    identity = ProcessIdentity.of(psutil.Process(process.pid))
    process.communicate(b"\n")
    return replace(Holder.current(), identity=identity, token="another")


def test_who_has_a_run_has_it_alone(run: Journal, other: Journal) -> None:
    holder = Holder.current()
    run.acquire("run", holder, SECONDS)
    with pytest.raises(LeaseHeldError, match=str(holder)) as caught:
        other.acquire("run", Holder.current(), SECONDS)
    assert "--watch --run-id run" in caught.value.hint
    run.record_ask("run", trial(0))


def test_a_run_that_was_given_back_can_be_taken(run: Journal, other: Journal) -> None:
    run.release(run.acquire("run", Holder.current(), SECONDS))
    lease = other.acquire("run", Holder.current(), SECONDS)
    assert lease == Lease("run", 2)


def test_who_takes_it_twice_has_it(run: Journal) -> None:
    holder = Holder.current()
    first, second = (run.acquire("run", holder, SECONDS) for _ in range(2))
    assert second.fence > first.fence
    run.record_ask("run", trial(0))


def test_the_dead_are_followed_at_once(run: Journal, other: Journal, dead: Holder) -> None:
    run.acquire("run", dead, 3600.0)
    assert other.acquire("run", Holder.current(), SECONDS).fence == 2


def test_of_another_machine_the_end_of_the_lease_is_awaited(
    run: Journal, other: Journal, dead: Holder
) -> None:
    lease = run.acquire("run", elsewhere(dead), 3600.0)
    with pytest.raises(LeaseHeldError):
        other.acquire("run", Holder.current(), SECONDS)
    run.renew(lease, -1.0)
    assert other.acquire("run", Holder.current(), SECONDS).fence == 2


def test_a_machine_that_is_only_called_the_same_is_another(
    run: Journal, other: Journal, dead: Holder
) -> None:
    twin = replace(dead, identity=replace(dead.identity, boot="another system's"))
    run.acquire("run", twin, 3600.0)
    with pytest.raises(LeaseHeldError):
        other.acquire("run", Holder.current(), SECONDS)


def test_a_container_of_the_same_name_and_system_is_another(
    run: Journal, other: Journal, dead: Holder
) -> None:
    run.acquire("run", replace(dead, space="pid:[1]"), 3600.0)
    with pytest.raises(LeaseHeldError):
        other.acquire("run", Holder.current(), SECONDS)


@pytest.mark.parametrize(
    "write",
    [
        lambda journal: journal.record_ask("run", trial(0)),
        lambda journal: journal.finish("run", RunState.FINISHED, "it is over", NOW),
        lambda journal: journal.pause("run"),
        lambda journal: journal.start("run", NOW + datetime.timedelta(hours=1)),
        lambda journal: journal.wanted("run"),
    ],
    ids=["record", "finish", "pause", "start", "wanted"],
)
def test_who_lost_a_run_writes_no_more_of_it(
    run: Journal, other: Journal, write: Callable[[Journal], Any]
) -> None:
    run.acquire("run", elsewhere(Holder.current()), -1.0)
    other.acquire("run", Holder.current(), SECONDS)
    before = (other.progress("run", NOW), list(other.trials("run")))
    with pytest.raises(LeaseLostError, match="Another runner has taken the run run over"):
        write(run)
    assert (other.progress("run", NOW), list(other.trials("run"))) == before
    write(other)


def test_a_lost_lease_is_neither_renewed_nor_given_back(run: Journal, other: Journal) -> None:
    lost = run.acquire("run", elsewhere(Holder.current()), -1.0)
    other.acquire("run", Holder.current(), SECONDS)
    for method in (lambda: run.renew(lost, SECONDS), lambda: run.release(lost)):
        with pytest.raises(LeaseLostError):
            method()
    with pytest.raises(LeaseHeldError):
        run.acquire("run", Holder.current(), SECONDS)


def test_of_many_who_want_a_run_one_gets_it(run: Journal, url: str) -> None:
    count = 8
    all_there = threading.Barrier(count)

    def take(_number: int) -> int:
        with Journal.open(url) as journal:
            all_there.wait(SECONDS)
            try:
                journal.acquire("run", Holder.current(), SECONDS)
            except LeaseHeldError:
                return 0
            return 1

    with ThreadPoolExecutor(count) as threads:
        assert sum(threads.map(take, range(count))) == 1


def test_a_run_that_is_not_there_can_not_be_taken(journal: Journal) -> None:
    with pytest.raises(JournalError, match="no run 'none'"):
        journal.acquire("none", Holder.current(), SECONDS)


def test_a_deleted_run_takes_its_lease_along(run: Journal) -> None:
    run.release(run.acquire("run", Holder.current(), SECONDS))
    assert run.delete("run")
    assert run.runs() == []


def test_a_lease_is_kept_as_long_as_it_is_needed(run: Journal, other: Journal, url: str) -> None:
    def end_seen() -> datetime.datetime:
        with pytest.raises(LeaseHeldError) as caught:
            other.acquire("run", Holder.current(), SECONDS)
        return caught.value.expires_at

    with held_lease(run, url, "run", seconds=0.9):
        first, deadline = end_seen(), time.monotonic() + SECONDS
        # It would have ended by itself before it's renewed for the third time.
        while end_seen() < first + datetime.timedelta(seconds=0.9):
            assert time.monotonic() < deadline
        run.record_ask("run", trial(0))
    other.acquire("run", Holder.current(), SECONDS)


def test_one_who_waits_gets_the_run_when_the_lease_ends(
    run: Journal, other: Journal, url: str
) -> None:
    run.acquire("run", elsewhere(Holder.current()), 1.0)
    with held_lease(other, url, "run") as lease:
        assert lease.fence == 2
    with pytest.raises(LeaseLostError):
        run.wanted("run")


def test_one_who_waits_gives_up_when_the_lease_is_renewed(
    run: Journal, other: Journal, url: str
) -> None:
    lease = run.acquire("run", elsewhere(Holder.current()), SECONDS)
    renewed = threading.Event()

    def is_over() -> bool:
        if not renewed.is_set():
            run.renew(lease, 2 * SECONDS)
            renewed.set()
        return False

    with (
        pytest.raises(LeaseHeldError),
        held_lease(other, url, "run", is_over=is_over),
    ):
        pass
    run.wanted("run")


def test_a_holder_is_the_same_after_a_journey() -> None:
    holder = Holder.current()
    assert Holder.from_json(holder.to_json()) == holder
    assert Holder.current() != holder
    assert not holder.is_dead
